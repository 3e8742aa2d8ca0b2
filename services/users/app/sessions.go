package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// How long what a login gives is good for.
const (
	AccessTokenLife = 10 * time.Minute
	SessionIdle     = 30 * 24 * time.Hour // without a refresh
	SessionLife     = 90 * 24 * time.Hour // at most
	BrowserLife     = 12 * time.Hour      // of the login in a browser
	CodeLife        = time.Minute
	RefreshGrace    = 10 * time.Second // in which a refresh may be repeated whose answer was lost
)

// Session is one login of a user with one client: what the refresh tokens that follow one another belong to.
type Session struct {
	ID         uuid.UUID `json:"id"` // UUIDv7; the claim sid of its access tokens
	UserID     uuid.UUID `json:"-"`
	ClientID   string    `json:"client_id"`
	UserAgent  string    `json:"user_agent"`
	Address    string    `json:"address"` // of the client at login
	Scopes     []string  `json:"scopes"`  // granted; the user's roles may allow less of them
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"` // last refresh
	ExpiresAt  time.Time `json:"expires_at"`
	AuthTime   time.Time `json:"auth_time"` // when the password was given
	Browser    []byte    `json:"-"`         // hash of the browser session that it came from; nil for none
}

// Extend makes now the session's last use.
func (s *Session) Extend(now time.Time) {
	s.LastUsedAt, s.ExpiresAt = now, now.Add(SessionIdle)
	if end := s.CreatedAt.Add(SessionLife); s.ExpiresAt.After(end) {
		s.ExpiresAt = end
	}
}

// ErrNoSession is for a session that is not the user's, or over.
var ErrNoSession = errs.New(errs.NotFound, "session-not-found", "you have no session with this id")

// SessionStore keeps sessions. Each method is one transaction.
type SessionStore interface {
	// Sessions of a user that are not over, newest first.
	Sessions(ctx context.Context, user uuid.UUID) ([]Session, error)
	// RevokeSession ends one with all its tokens, and the login in the browser that it came from; ErrNoSession if it is
	// not the user's.
	RevokeSession(ctx context.Context, user, session uuid.UUID, reason string) error
	// RevokeSessions ends all of a user's but one (Nil: all), with codes and logins in browsers.
	RevokeSessions(ctx context.Context, user, except uuid.UUID, reason string) error
}

// Sessions has the use cases of a user's own sessions.
type Sessions struct{ store SessionStore }

// NewSessions makes the use cases on a store.
func NewSessions(store SessionStore) *Sessions { return &Sessions{store} }

// List gives a user's sessions, newest first.
func (s *Sessions) List(ctx context.Context, user uuid.UUID) ([]Session, error) {
	return s.store.Sessions(ctx, user)
}

// Revoke ends one session: it can't be refreshed any more, and its access tokens are refused within seconds.
func (s *Sessions) Revoke(ctx context.Context, user, session uuid.UUID) error {
	return s.store.RevokeSession(ctx, user, session, "logout")
}

// RevokeAll ends all sessions of a user but one; uuid.Nil keeps none.
func (s *Sessions) RevokeAll(ctx context.Context, user, except uuid.UUID) error {
	return s.store.RevokeSessions(ctx, user, except, "logout")
}
