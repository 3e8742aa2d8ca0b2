-- +goose Up
-- Events that wait to be published (internal/outbox). A row is deleted once Kafka has it.
CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    headers    bytea[]     NOT NULL, -- name, value, name, value ...
    value      bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (
    -- Every row is soon dead: vacuum by their number, or the relay wades through them.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000
);

-- Whether the outbox takes more, as its relay last saw it.
CREATE TABLE outbox_state (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    full_up boolean NOT NULL
);

INSERT INTO outbox_state (full_up) VALUES (false);

-- +goose Down
DROP TABLE outbox_state;

DROP TABLE outbox;
