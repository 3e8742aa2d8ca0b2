-- +goose Up
-- Events that a consumer group has dealt with or parked (internal/inbox), so that another delivery does nothing.
CREATE TABLE inbox (
    consumer   text        NOT NULL, -- the consumer group
    event      bytea       NOT NULL, -- SHA-256 of the event's source and id
    parked     boolean     NOT NULL DEFAULT false,
    settled_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event)
);

CREATE INDEX inbox_settled_at ON inbox (settled_at) WHERE NOT parked;

-- Keys whose events wait behind one that could not be handled.
CREATE TABLE inbox_parked_keys (
    consumer  text        NOT NULL,
    topic     text        NOT NULL,
    key       bytea       NOT NULL,
    replaying boolean     NOT NULL DEFAULT false, -- an operator wants them tried again
    error     text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_parked_keys_pkey PRIMARY KEY (consumer, topic, key)
);

CREATE INDEX inbox_parked_keys_replaying ON inbox_parked_keys (consumer) WHERE replaying;

-- Their events, in the order of id. That a key is not forgotten while one of its
-- events is being added is what the foreign key is for.
CREATE TABLE inbox_parked (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer    text        NOT NULL,
    topic       text        NOT NULL,
    key         bytea       NOT NULL,
    partition   integer     NOT NULL,
    "offset"    bigint      NOT NULL,
    event       bytea       NOT NULL, -- as in inbox
    headers     bytea[]     NOT NULL, -- name, value, name, value ...
    record_key  bytea,                -- as Kafka has it
    value       bytea       NOT NULL,
    error       text        NOT NULL, -- '' for one that only waits behind another
    attempts    integer     NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_parked_key_fkey FOREIGN KEY (consumer, topic, key) REFERENCES inbox_parked_keys
);

CREATE INDEX inbox_parked_key ON inbox_parked (consumer, topic, key, id);

-- +goose Down
DROP TABLE inbox_parked;

DROP TABLE inbox_parked_keys;

DROP TABLE inbox;
