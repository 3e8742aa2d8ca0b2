-- +goose Up
-- Who is told of events, and what becomes of each telling.
CREATE TABLE webhook_endpoints (
    id            uuid        PRIMARY KEY, -- UUIDv7
    version       bigint      NOT NULL CHECK (version > 0), -- of what clients change; not of failing_since
    url           text        NOT NULL,
    events        text[]      NOT NULL, -- patterns of event types
    description   text        NOT NULL,
    status        text        NOT NULL CHECK (status IN ('enabled', 'disabled', 'deleted')), -- deleted: goes with its last delivery
    reason        text        NOT NULL DEFAULT '', -- why it is disabled
    failing_since timestamptz,          -- no delivery has worked since
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);

-- What deliveries are signed with: the newest one, and those before it until they expire.
CREATE TABLE webhook_secrets (
    endpoint_id uuid        NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    number      bigint      NOT NULL,
    sealed      text        NOT NULL, -- encrypted by Vault (transit key souk-webhooks)
    expires_at  timestamptz,          -- NULL: the newest
    PRIMARY KEY (endpoint_id, number)
);

CREATE TABLE webhook_deliveries (
    id          uuid        PRIMARY KEY, -- follows from the endpoint and the event: its repetition is the same row
    endpoint_id uuid        NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    event_type  text        NOT NULL,
    subject     text        NOT NULL, -- the event's: an order, a payment intent
    body        bytea       NOT NULL, -- what is sent, byte for byte the same each time
    traceparent text        NOT NULL,
    status      text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts    integer     NOT NULL DEFAULT 0, -- begun ones, since it was last asked for
    begun       integer     NOT NULL DEFAULT 0, -- all begun ones: the number of the last
    due_at      timestamptz NOT NULL DEFAULT now(), -- while it is leased: when the lease ends
    lease       uuid,                 -- of the one who may send it now
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz CHECK ((finished_at IS NULL) = (status = 'pending'))
);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;

-- The log. An attempt whose instance died is missing here.
CREATE TABLE webhook_attempts (
    delivery_id uuid        NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    number      integer     NOT NULL,
    at          timestamptz NOT NULL,
    duration    integer     NOT NULL, -- milliseconds
    status_code smallint,             -- NULL: there was no answer
    problem     text        NOT NULL, -- '': it was delivered
    PRIMARY KEY (delivery_id, number)
);

-- +goose Down
DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_secrets;
DROP TABLE webhook_endpoints;
