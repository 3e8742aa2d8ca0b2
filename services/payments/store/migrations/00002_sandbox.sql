-- +goose Up
-- The books of the sandbox, a bank of its own (services/payments/provider/sandbox): each row is something that it did for a
-- payment, or refused. Nothing else refers to them, and they to nothing.
CREATE TABLE sandbox_entries (
    payment    uuid        NOT NULL,
    seq        integer     NOT NULL, -- two that write at once can't both have the next
    operation  text        NOT NULL, -- the client's idempotency key
    kind       text        NOT NULL,
    outcome    text        NOT NULL,
    amount     bigint      NOT NULL CHECK (amount >= 0),
    currency   text        NOT NULL,
    reason     text        NOT NULL,
    notify_at  timestamptz,          -- when the outcome of an operation in progress comes by webhook
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment, seq)
);

CREATE INDEX sandbox_entries_notify_at ON sandbox_entries (notify_at) WHERE notify_at IS NOT NULL;

-- +goose Down
DROP TABLE sandbox_entries;
