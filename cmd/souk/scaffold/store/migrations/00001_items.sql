-- +goose Up
CREATE TABLE items (
    id         uuid        PRIMARY KEY, -- UUIDv7
    version    bigint      NOT NULL CHECK (version > 0),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE items;
