-- +goose Up
CREATE SEQUENCE order_numbers START 100001;

-- What happened to each order. This is the truth; the table orders only follows from it.
CREATE TABLE order_events (
    stream_id uuid        NOT NULL, -- the order's id, UUIDv7
    version   bigint      NOT NULL CHECK (version > 0), -- from 1 without gaps
    kind      text        NOT NULL,
    at        timestamptz NOT NULL,
    data      json        NOT NULL,
    PRIMARY KEY (stream_id, version)
);

-- Orders as their events make them: the fold of order_events, and when the saga has to look at them again.
CREATE TABLE orders (
    id            uuid        PRIMARY KEY,
    number        bigint      NOT NULL,
    version       bigint      NOT NULL,
    user_id       uuid        NOT NULL,
    status        text        NOT NULL,
    reason        text        NOT NULL,
    settled       boolean     NOT NULL,
    stock         text        NOT NULL,
    payment       text        NOT NULL,
    stock_asked   text        NOT NULL, -- commands whose answer is awaited; '' for none
    payment_asked text        NOT NULL,
    currency      text        NOT NULL,
    total         bigint      NOT NULL, -- minor units
    captured      bigint      NOT NULL,
    refunded      bigint      NOT NULL,
    intent        text        NOT NULL,
    refund        uuid        NOT NULL,
    asking        bigint      NOT NULL,
    method        text        NOT NULL,
    lines         json        NOT NULL,
    placed_at     timestamptz NOT NULL,
    confirmed_at  timestamptz,
    updated_at    timestamptz NOT NULL,
    due_at        timestamptz NOT NULL, -- these two are no part of the fold
    attempts      int         NOT NULL,
    CHECK (0 <= refunded AND refunded <= captured AND captured <= total)
) WITH (fillfactor = 50); -- each is updated four times within a second: the versions stay on one page, and indexes are left alone

CREATE INDEX orders_of_user ON orders (user_id, id);
CREATE INDEX orders_open ON orders (id) WHERE NOT settled;

-- Apart from the events, so that it can be erased.
CREATE TABLE order_addresses (
    order_id uuid PRIMARY KEY,
    address  json NOT NULL
);

-- Requests to make the table orders anew from order_events; one at a time is worked on, by any instance.
CREATE TABLE order_rebuilds (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT now(),
    position     uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- orders up to here are done
    orders       bigint      NOT NULL DEFAULT 0, -- that were looked at
    mended       bigint      NOT NULL DEFAULT 0, -- of them were not what their events say
    finished_at  timestamptz
);

-- +goose Down
DROP TABLE order_rebuilds, order_addresses, orders, order_events;
DROP SEQUENCE order_numbers;
