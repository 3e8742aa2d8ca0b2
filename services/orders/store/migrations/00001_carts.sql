-- +goose Up
-- One row a cart, lines and all: placing an order reads and marks one row.
CREATE TABLE carts (
    id          uuid        PRIMARY KEY, -- UUIDv7
    version     bigint      NOT NULL CHECK (version > 0),
    user_id     uuid,                    -- null: anonymous
    token_hash  bytea,                   -- SHA-256; null: it never was anonymous
    currency    text,                    -- null: not said yet, and no lines
    lines       json        NOT NULL,    -- app.CartLine, with the prices that this version shows
    order_id    uuid,                    -- null: open
    merged_into uuid,                    -- null, or the cart that has the lines now
    expires_at  timestamptz NOT NULL,
    CONSTRAINT carts_owner CHECK (user_id IS NOT NULL OR token_hash IS NOT NULL)
) WITH (fillfactor = 85); -- most carts are written twice: made, and marked as ordered

CREATE INDEX carts_of_users ON carts (user_id, id) WHERE user_id IS NOT NULL;

-- Carts lie about in the order in which they expire, so ranges of pages are enough; a new cart costs nothing here.
CREATE INDEX carts_expiry ON carts USING brin (expires_at) WITH (pages_per_range = 32);

-- The projection of catalog.products.v1: what each SKU is sold for. A SKU that went from one product to another has a row
-- of each, of which one is active: the topic does not say which of the two products changed first.
CREATE TABLE prices (
    sku        text    NOT NULL,
    product_id uuid    NOT NULL,
    version    bigint  NOT NULL, -- of the product; a lower one does not come after it
    name       text    NOT NULL,
    minor      bigint  NOT NULL CHECK (minor BETWEEN 0 AND 9007199254740991),
    currency   text    NOT NULL,
    active     boolean NOT NULL, -- for sale: the product is, and it still has the SKU
    PRIMARY KEY (sku, product_id)
);

CREATE INDEX prices_of_products ON prices (product_id);

-- +goose Down
DROP TABLE prices;

DROP TABLE carts;
