-- +goose Up
-- Secrets are kept as SHA-256 only. Who revokes deletes: what is not here is not valid.

-- What a login in the user's browser left: whoever has the cookie need not log in again.
CREATE TABLE browser_sessions (
    hash       bytea       PRIMARY KEY, -- of the cookie's value
    user_id    uuid        NOT NULL,
    auth_time  timestamptz NOT NULL,    -- when the password was given
    expires_at timestamptz NOT NULL
);

CREATE INDEX browser_sessions_user_id ON browser_sessions (user_id);
CREATE INDEX browser_sessions_expires_at ON browser_sessions (expires_at);

-- One login with one client; the family of the refresh tokens that came from it.
CREATE TABLE sessions (
    id           uuid        PRIMARY KEY, -- UUIDv7; the claim sid of its access tokens
    user_id      uuid        NOT NULL,
    client_id    text        NOT NULL,
    scopes       text[]      NOT NULL,    -- what was granted; the user's roles may allow less of it
    user_agent   text        NOT NULL,
    address      text        NOT NULL,
    browser      bytea,                   -- the browser session that it came from: logging out ends that too
    auth_time    timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);

CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- A used token stays until it would have expired: its reuse tells of a theft.
CREATE TABLE refresh_tokens (
    hash       bytea       PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    parent     bytea,                -- hash of the token that it was given for; null for a session's first
    expires_at timestamptz NOT NULL,
    used_at    timestamptz           -- first use
);

CREATE INDEX refresh_tokens_session_id ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_parent ON refresh_tokens (parent);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

-- A used code stays for a day: its second use revokes what the first one gave.
CREATE TABLE authorization_codes (
    hash         bytea       PRIMARY KEY,
    client_id    text        NOT NULL,
    user_id      uuid        NOT NULL,
    redirect_uri text        NOT NULL, -- as the request had it; '' if it had none
    scopes       text[]      NOT NULL,
    challenge    text        NOT NULL, -- PKCE, S256
    browser      bytea       NOT NULL REFERENCES browser_sessions ON DELETE CASCADE,
    auth_time    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    session_id   uuid                  -- that the first use made
);

CREATE INDEX authorization_codes_user_id ON authorization_codes (user_id);
CREATE INDEX authorization_codes_browser ON authorization_codes (browser);
CREATE INDEX authorization_codes_expires_at ON authorization_codes (expires_at);

-- What a user has allowed a client, so that it is asked once.
CREATE TABLE consents (
    user_id    uuid        NOT NULL,
    client_id  text        NOT NULL,
    scopes     text[]      NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, client_id)
);

-- What verifiers of access tokens must refuse, until those would have expired anyway. Rows are only ever added;
-- the transaction's number lets a reader find what was committed after its last look (store/revocations.go).
CREATE TABLE revocations (
    n       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid     xid8        NOT NULL DEFAULT pg_current_xact_id(),
    kind    text        NOT NULL CHECK (kind IN ('session', 'subject', 'token')),
    id      text        NOT NULL,
    before  timestamptz NOT NULL, -- tokens issued before it are refused
    expires timestamptz NOT NULL,
    reason  text        NOT NULL
);

CREATE INDEX revocations_xid ON revocations (xid);
CREATE INDEX revocations_id ON revocations (id);
CREATE INDEX revocations_expires ON revocations (expires);

-- +goose Down
DROP TABLE revocations, consents, authorization_codes, refresh_tokens, sessions, browser_sessions;
