-- +goose Up
-- What the catalogue has told of. A row is never deleted, as stock and orders name it. Whoever changes stock of a SKU locks
-- its row here first, several in the order of the SKUs: that alone keeps two transactions from each other's stock.
CREATE TABLE skus (
    sku                 text   COLLATE "C" PRIMARY KEY,
    low_stock_threshold bigint NOT NULL DEFAULT 5 CHECK (low_stock_threshold >= 0)
);

-- Pieces of a SKU at a location. Rows are updated all the time and found by their key alone: room in each page and no other
-- index let an update stay within its page.
CREATE TABLE stock (
    sku       text   COLLATE "C" NOT NULL REFERENCES skus,
    location  text   COLLATE "C" NOT NULL,
    available bigint NOT NULL DEFAULT 0 CONSTRAINT stock_available CHECK (available >= 0),
    reserved  bigint NOT NULL DEFAULT 0 CONSTRAINT stock_reserved CHECK (reserved >= 0),
    sold      bigint NOT NULL DEFAULT 0 CONSTRAINT stock_sold CHECK (sold >= 0),
    PRIMARY KEY (sku, location)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

-- Changes of what is available that no order caused: available + reserved + sold is the sum of their deltas.
CREATE TABLE adjustments (
    id         uuid        PRIMARY KEY, -- UUIDv7
    sku        text        COLLATE "C" NOT NULL REFERENCES skus,
    location   text        COLLATE "C" NOT NULL,
    delta      bigint      NOT NULL CHECK (delta <> 0),
    reason     text        NOT NULL CHECK (reason IN ('received', 'returned', 'found', 'damaged', 'lost', 'correction')),
    note       text        NOT NULL,
    available  bigint      NOT NULL CHECK (available >= 0), -- at the location, afterwards
    by         text        NOT NULL, -- user/<id> or client/<id>
    created_at timestamptz NOT NULL
);

CREATE INDEX adjustments_sku ON adjustments (sku, id);

-- +goose StatementBegin
CREATE FUNCTION adjustments_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'adjustments are never changed or deleted';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER adjustments_stay BEFORE UPDATE OR DELETE ON adjustments FOR EACH STATEMENT EXECUTE FUNCTION adjustments_stay();

-- What orders hold or held, one row an order.
CREATE TABLE reservations (
    order_id   uuid        PRIMARY KEY,
    state      text        NOT NULL CHECK (state IN ('reserved', 'committed', 'released', 'expired', 'rejected')),
    reason     text        NOT NULL,
    restocked  boolean     NOT NULL,
    lines      jsonb       NOT NULL, -- [{"sku","location","quantity"}], by SKU
    shortages  jsonb,                -- [{"sku","requested","available"}]
    expires_at timestamptz,          -- none of one that was released before it was made
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX reservations_expiring ON reservations (expires_at) WHERE state = 'reserved';

-- +goose Down
DROP TABLE reservations;

DROP TABLE adjustments;

DROP FUNCTION adjustments_stay;

DROP TABLE stock;

DROP TABLE skus;
