-- +goose Up
-- "login" is the SHA-256 of a canonical e-mail: what need not be written to keeps no more of it. Secrets are kept as
-- SHA-256 only, passwords as argon2id.

-- What was erased keeps its id, when it was made and erased, and nothing else.
CREATE TABLE users (
    id                uuid        PRIMARY KEY, -- UUIDv7, of the registration
    version           bigint      NOT NULL CHECK (version > 0),
    login             bytea       CONSTRAINT users_login_key UNIQUE,
    email             text,
    email_verified_at timestamptz,
    password_hash     text,
    name              text,
    phone             text,
    locale            text,
    addresses         jsonb,
    roles             text[]      NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz,
    tokens_valid_from timestamptz, -- a whole second; null: all tokens are good
    lock_told_at      timestamptz, -- when the user was last told of a lock
    erased_at         timestamptz,
    CONSTRAINT users_erased CHECK (CASE WHEN erased_at IS NULL
        THEN num_nulls(login, email, email_verified_at, password_hash, name, phone, locale, addresses, updated_at) = 0 AND cardinality(roles) > 0
        ELSE num_nonnulls(login, email, email_verified_at, password_hash, name, phone, locale, addresses, updated_at, tokens_valid_from, lock_told_at) = 0
            AND cardinality(roles) = 0 END)
);

CREATE INDEX users_admins ON users (id) WHERE 'admin' = ANY (roles);

-- Who has asked for an account, and has not shown yet that the e-mail is theirs. The e-mail may have an account: then
-- nothing can come of it, but its being there tells nobody.
CREATE TABLE registrations (
    id            uuid        PRIMARY KEY, -- the user's, if there will be one
    login         bytea       NOT NULL,
    email         text        NOT NULL,
    password_hash text        NOT NULL,
    name          text        NOT NULL,
    locale        text        NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL
);

CREATE INDEX registrations_login ON registrations (login);
CREATE INDEX registrations_expires_at ON registrations (expires_at);

-- Mails that were asked for. Their content is made when it is fetched, so that no secret waits here.
CREATE TABLE mails (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL,
    login      bytea       NOT NULL,
    subject    uuid,                 -- the user or the registration; null if there was none
    done       boolean     NOT NULL DEFAULT false, -- what it asks for has happened
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX mails_login ON mails (login);
CREATE INDEX mails_expires_at ON mails (expires_at);

-- The links in mails, as hashes of their tokens.
CREATE TABLE links (
    hash       bytea       PRIMARY KEY,
    mail_id    uuid        NOT NULL REFERENCES mails ON DELETE CASCADE,
    kind       text        NOT NULL, -- of the mail
    subject    uuid        NOT NULL, -- the user or the registration
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX links_mail_id ON links (mail_id);

-- Failed logins: of an account, of an address, and of an address that the account knows. The key is a hash of which.
CREATE TABLE attempts (
    key          bytea       PRIMARY KEY,
    login        bytea,                  -- null for an address
    failures     integer     NOT NULL,   -- since began_at; one under way counts until it succeeds
    began_at     timestamptz NOT NULL,
    last_at      timestamptz NOT NULL,
    locked_until timestamptz,
    told         boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 70); -- updated in place, mostly

CREATE INDEX attempts_login ON attempts (login);
CREATE INDEX attempts_untold ON attempts (last_at) WHERE locked_until IS NOT NULL AND login IS NOT NULL AND NOT told;

-- Where somebody has logged in from.
CREATE TABLE known_addresses (
    login         bytea       NOT NULL,
    address       cidr        NOT NULL,
    last_login_at timestamptz NOT NULL,
    PRIMARY KEY (login, address)
);

CREATE INDEX known_addresses_last_login_at ON known_addresses (last_login_at);

-- +goose Down
DROP TABLE known_addresses, attempts, links, mails, registrations, users;
