-- +goose Up
-- The queue of mails and the log of what became of them. No address, name or link is ever stored.
CREATE TABLE mails (
    id            uuid        PRIMARY KEY, -- follows from the event: its repetition is the same row
    kind          text        NOT NULL,
    user_id       uuid,                    -- NULL: of nobody's account
    subject_id    uuid        NOT NULL,    -- the mail's id at users, or the order's
    order_data    jsonb,                   -- what an order's mail says; NULL once it is finished
    requested_at  timestamptz NOT NULL,
    traceparent   text        NOT NULL,
    status        text        NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed', 'dropped')),
    reason        text        NOT NULL DEFAULT '', -- of the last failure
    attempts      integer     NOT NULL DEFAULT 0,  -- failed ones that counted
    doubts        integer     NOT NULL DEFAULT 0,  -- attempts that may have reached the server unnoticed
    failing_since timestamptz,
    due_at        timestamptz NOT NULL DEFAULT now(), -- while it is leased: when the lease ends
    lease         uuid,                               -- of the one who may send it now
    handed_at     timestamptz,                        -- the last attempt went as far as handing it over, and nobody knows how that ended
    finished_at   timestamptz CHECK ((finished_at IS NULL) = (status = 'queued')),
    erased_at     timestamptz                         -- its user is gone; its file must go too
);

CREATE INDEX mails_due ON mails (due_at) WHERE status = 'queued';
CREATE INDEX mails_user ON mails (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX mails_finished_at ON mails (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX mails_erased_at ON mails (erased_at) WHERE erased_at IS NOT NULL;

-- +goose Down
DROP TABLE mails;
