-- +goose Up
-- What is to be paid, and how far it has come. No update touches an indexed column, so that all stay on their page (HOT).
CREATE TABLE intents (
    id             uuid        PRIMARY KEY, -- UUIDv7
    order_id       uuid        UNIQUE,      -- null: of no order
    user_id        uuid,
    version        bigint      NOT NULL CHECK (version > 0),
    status         text        NOT NULL,
    capture_method text        NOT NULL,
    provider       text        NOT NULL,
    method         text        NOT NULL,
    reference      text        NOT NULL,
    provider_ref   text        NOT NULL,
    currency       text        NOT NULL, -- '': a void came before what it voids
    amount         bigint      NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    captured       bigint      NOT NULL CHECK (captured = 0 OR captured = amount),
    refunded       bigint      NOT NULL CHECK (refunded >= 0),
    refunding      bigint      NOT NULL CHECK (refunding >= 0),
    reason         text        NOT NULL,
    void_wanted    text        NOT NULL,
    deadline       timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT intents_amount_or_tombstone CHECK (amount > 0 AND currency <> '' OR amount = 0 AND currency = '' AND status = 'voided'),
    CONSTRAINT intents_captured_by_status CHECK ((status = 'captured') = (captured > 0)),
    CONSTRAINT intents_refunds_within_captured CHECK (refunded + refunding <= captured)
) WITH (fillfactor = 70);

-- What a provider is to be asked. A row goes when the answer is stored, so that this stays small.
CREATE TABLE operations (
    intent_id   uuid        NOT NULL,
    kind        text        NOT NULL,
    refund_id   uuid        NOT NULL, -- nil but for a refund
    amount      bigint      NOT NULL,
    reason      text        NOT NULL,
    due_at      timestamptz NOT NULL, -- when it is to be claimed: the end of a lease, or of a wait
    attempts    integer     NOT NULL DEFAULT 0,
    asked       boolean     NOT NULL DEFAULT false, -- the provider has answered that it is at it
    traceparent text        NOT NULL,
    PRIMARY KEY (intent_id, kind, refund_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000
);

CREATE INDEX operations_due_at ON operations (due_at);

CREATE TABLE refunds (
    id           uuid        PRIMARY KEY,
    intent_id    uuid        NOT NULL REFERENCES intents,
    currency     text        NOT NULL,
    amount       bigint      NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    reason       text        NOT NULL,
    status       text        NOT NULL,
    failure      text        NOT NULL,
    provider_ref text        NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);

CREATE INDEX refunds_intent_id ON refunds (intent_id, id);

-- Double-entry: each row takes an amount from one account and adds it to another, so the books balance by construction.
-- One capture an intent, one posting a refund: the key says so.
CREATE TABLE ledger (
    intent_id uuid        NOT NULL,
    kind      text        NOT NULL CHECK (kind IN ('capture', 'refund')),
    refund_id uuid        NOT NULL,
    debit     text        NOT NULL,
    credit    text        NOT NULL CHECK (credit <> debit),
    amount    bigint      NOT NULL CHECK (amount > 0),
    currency  text        NOT NULL,
    posted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (intent_id, kind, refund_id),
    CONSTRAINT ledger_refund_id CHECK ((kind = 'refund') = (refund_id <> '00000000-0000-0000-0000-000000000000'))
);

-- The same as signed entries, two a posting.
CREATE VIEW ledger_entries AS
    SELECT intent_id, kind, refund_id, debit AS account, amount, currency, posted_at FROM ledger
    UNION ALL
    SELECT intent_id, kind, refund_id, credit AS account, -amount, currency, posted_at FROM ledger;

-- +goose StatementBegin
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is only ever added to' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();

-- Notices of providers that were dealt with.
CREATE TABLE provider_notices (
    provider    text        NOT NULL,
    id          text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, id)
);

CREATE INDEX provider_notices_received_at ON provider_notices (received_at);

-- +goose Down
DROP TABLE provider_notices;

DROP VIEW ledger_entries;

DROP TABLE ledger;

DROP FUNCTION ledger_is_append_only;

DROP TABLE refunds;

DROP TABLE operations;

DROP TABLE intents;
