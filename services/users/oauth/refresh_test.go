package oauth

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
	"souk/internal/postgres"
	"souk/services/users/app"
)

// age makes a refresh token's first use older than the grace.
func (h *harness) age(t *testing.T, token string) {
	t.Helper()
	exec(t, h.pool, "UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds' WHERE hash = $1", hashOf(token))
}

func (h *harness) session(t *testing.T, a answer) uuid.UUID {
	t.Helper()
	c, err := h.keys.verify(h.url, a.Access)
	must(t, err)
	return uuid.MustParse(c.Session)
}

// ended checks that a session is over: no token of it is any good, and verifiers are told once.
func (h *harness) ended(t *testing.T, session uuid.UUID, tokens ...answer) {
	t.Helper()
	for _, a := range tokens {
		if r := h.refresh(t, a.Refresh); r.status != 400 || r.Error != "invalid_grant" {
			t.Errorf("a refresh token of an ended session: %+v", r)
		}
		if i := h.introspect(t, a.Access); i.Active {
			t.Error("an access token of an ended session is active")
		}
	}
	if n := h.count(t, "SELECT count(*) FROM revocations WHERE kind = 'session' AND id = $1", session.String()); n != 1 {
		t.Errorf("%d revocations of the session", n)
	}
}

func (h *harness) introspect(t *testing.T, token string) answer {
	t.Helper()
	a := h.call(t, "/oauth2/introspect", "token", token, "basic", "robot:"+robotSecret)
	if a.status != 200 {
		t.Errorf("introspection: %+v", a)
	}
	return a
}

func (h *harness) reuseEvents(t *testing.T, session uuid.UUID) int {
	t.Helper()
	return h.count(t, "SELECT count(*) FROM outbox WHERE convert_from(value, 'UTF8') LIKE '%' || $1 || '%'", session.String())
}

func (h *harness) aReusedRefreshTokenRevokesTheFamily(t *testing.T) {
	u := h.user(t)
	first := h.tokens(t, u)
	bystander := h.tokens(t, u)
	second := h.refresh(t, first.Refresh)
	third := h.refresh(t, second.Refresh)
	if third.status != 200 {
		t.Fatalf("%+v", third)
	}
	h.age(t, first.Refresh)
	session := h.session(t, first)
	if a := h.refresh(t, first.Refresh); a.status != 400 || a.Error != "invalid_grant" {
		t.Errorf("a reused token: %+v", a)
	}
	h.ended(t, session, first, second, third)
	if n := h.reuseEvents(t, session); n != 1 {
		t.Errorf("%d events", n)
	}
	if a := h.refresh(t, bystander.Refresh); a.status != 200 {
		t.Errorf("another session of the user: %+v", a)
	}
}

func (h *harness) aLostAnswerMayBeAskedForAgain(t *testing.T) {
	first := h.tokens(t, h.user(t))
	lost := h.refresh(t, first.Refresh)
	again := h.refresh(t, first.Refresh)
	if lost.status != 200 || again.status != 200 || lost.Refresh == again.Refresh {
		t.Fatalf("%+v %+v", lost, again)
	}
	next := h.refresh(t, again.Refresh)
	if next.status != 200 {
		t.Fatalf("the successor that did arrive: %+v", next)
	}
	// Now that one was used, who has the other is somebody else.
	if a := h.refresh(t, lost.Refresh); a.Error != "invalid_grant" {
		t.Errorf("its sibling: %+v", a)
	}
	h.ended(t, h.session(t, first), next, again)

	first = h.tokens(t, h.user(t))
	used := h.refresh(t, h.refresh(t, first.Refresh).Refresh)
	if a := h.refresh(t, first.Refresh); a.Error != "invalid_grant" {
		t.Errorf("within the grace, but a successor was used: %+v", a)
	}
	h.ended(t, h.session(t, first), used)
}

// A crash between the rotation and the answer is a lost answer: the database has the successor, the client does not.
func (h *harness) aCrashAfterTheRotationLosesNoSession(t *testing.T) {
	u := h.user(t)
	first := h.tokens(t, u)
	r, err := h.store.Refresh(t.Context(), hashOf(first.Refresh))
	must(t, err)
	_, successor := newSecret(refreshPrefix)
	must(t, h.store.Rotate(t.Context(), r, u.Version, successor)) // and the process ends here
	if a := h.refresh(t, first.Refresh); a.status != 200 {
		t.Errorf("%+v", a)
	}
}

func (h *harness) twentyRefreshesAtOnce(t *testing.T) {
	first := h.tokens(t, h.user(t))
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = h.refresh(t, first.Refresh) })
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, a := range answers {
		if a.status != 200 || seen[a.Refresh] {
			t.Errorf("%+v", a)
		}
		seen[a.Refresh] = true
	}
	if n := h.count(t, "SELECT count(*) FROM refresh_tokens WHERE parent = $1", hashOf(first.Refresh)); n != len(answers) {
		t.Errorf("%d successors", n)
	}
	// All twenty successors at once: one wins, and as soon as it has, the others are theft.
	winners := 0
	for i := range answers {
		wg.Go(func() { answers[i] = h.refresh(t, answers[i].Refresh) })
	}
	wg.Wait()
	for _, a := range answers {
		if a.status == 200 {
			winners++
		} else if a.Error != "invalid_grant" {
			t.Errorf("%+v", a)
		}
	}
	if session := h.session(t, first); winners != 1 || h.reuseEvents(t, session) != 1 {
		t.Errorf("%d winners, %d events", winners, h.reuseEvents(t, session))
	} else {
		h.ended(t, session)
	}
}

func (h *harness) aRefreshThatRacesTheEndOfItsSessionLeavesNothing(t *testing.T) {
	ends := map[string]func(u app.User, session uuid.UUID) error{
		"logout": func(u app.User, session uuid.UUID) error {
			return app.NewSessions(h.store).Revoke(t.Context(), u.ID, session)
		},
		"logout everywhere": func(u app.User, _ uuid.UUID) error {
			return app.NewSessions(h.store).RevokeAll(t.Context(), u.ID, uuid.Nil)
		},
		"password change": func(u app.User, _ uuid.UUID) error {
			return h.store.ChangePassword(t.Context(), u.ID, uuid.Nil, h.passwordHash(t, u), "$argon2id$other")
		},
		"revocation by the client": func(u app.User, session uuid.UUID) error {
			r, err := h.store.Sessions(t.Context(), u.ID)
			if err != nil || len(r) != 1 || r[0].ID != session {
				return errors.Join(err, errors.New("no session"))
			}
			return h.store.RevokeSession(t.Context(), u.ID, session, "test")
		},
	}
	for name, end := range ends {
		for range 3 {
			u := h.user(t)
			first := h.tokens(t, u)
			session := h.session(t, first)
			var (
				wg    sync.WaitGroup
				after = make([]answer, 6)
				err   error
			)
			for i := range after {
				wg.Go(func() { after[i] = h.refresh(t, first.Refresh) })
				if i == 2 {
					wg.Go(func() { err = end(u, session) })
				}
			}
			wg.Wait()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			after = slices.DeleteFunc(append(after, first), func(a answer) bool { return a.status != 200 })
			h.ended(t, session, after...)
			if n := h.count(t, "SELECT count(*) FROM refresh_tokens WHERE session_id = $1", session); n != 0 {
				t.Errorf("%s: %d refresh tokens are left", name, n)
			}
		}
	}
}

func (h *harness) passwordHash(t *testing.T, u app.User) (hash string) {
	t.Helper()
	must(t, h.pool.QueryRow(t.Context(), "SELECT password_hash FROM users WHERE id = $1", u.ID).Scan(&hash))
	return hash
}

func (h *harness) aLoginThatRacesAPasswordChangeIsRefused(t *testing.T) {
	u := h.user(t)
	read, err := h.accounts.LogIn(t.Context(), u.Email, password, netipNone)
	must(t, err)
	must(t, h.store.ChangePassword(t.Context(), u.ID, uuid.Nil, h.passwordHash(t, u), "$argon2id$other"))
	if _, err := h.server.LogIn(t.Context(), read, Device{}); errs.CodeOf(err) != "user-changed" {
		t.Errorf("got %v", err)
	}
	if n := h.count(t, "SELECT count(*) FROM sessions WHERE user_id = $1", u.ID); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func (h *harness) aChangeOfRolesCountsAtOnce(t *testing.T) {
	u := h.user(t)
	first := h.tokens(t, u)
	_, err := h.accounts.SetRoles(t.Context(), uuid.Nil, u.ID, anyVersion, []string{app.Support})
	must(t, err)
	if a := h.introspect(t, first.Access); a.Active {
		t.Error("a token with the old roles is active")
	}
	next := h.refresh(t, first.Refresh)
	if next.status != 200 || !strings.Contains(next.Scope, "users:read") {
		t.Errorf("%+v", next)
	}
	if a := h.introspect(t, next.Access); !a.Active {
		t.Error("a token with the new roles is not active")
	}
	must(t, h.accounts.Erase(t.Context(), u.ID))
	h.ended(t, h.session(t, first), next)
}

func (h *harness) scopesOnlyGetFewer(t *testing.T) {
	first := h.tokens(t, h.user(t), "account", "orders")
	less := h.refresh(t, first.Refresh, "scope", "orders")
	if less.status != 200 || less.Scope != "orders" {
		t.Fatalf("%+v", less)
	}
	if a := h.refresh(t, less.Refresh); a.Scope != "account orders" { // RFC 6749, section 6: the refresh token keeps its scopes
		t.Errorf("%+v", a)
	}
	first = h.tokens(t, h.user(t), "orders")
	for _, scope := range []string{"account", "orders account", "users:roles", "orders users:roles", "ORDERS", "openid"} {
		if a := h.refresh(t, first.Refresh, "scope", scope); a.status != 400 || a.Error != "invalid_scope" {
			t.Errorf("%s: %+v", scope, a)
		}
	}
	if a := h.refresh(t, first.Refresh); a.status != 200 {
		t.Errorf("after refusals: %+v", a)
	}
}

func (h *harness) anotherClientCantUseARefreshToken(t *testing.T) {
	first := h.tokens(t, h.user(t))
	for _, as := range []string{"third", FirstParty} {
		if a := h.refresh(t, first.Refresh, "client_id", as); a.status != 400 || a.Error != "invalid_grant" {
			t.Errorf("%s: %+v", as, a)
		}
	}
	if a := h.refresh(t, first.Refresh, "client_id", "nobody"); a.status != 401 || a.Error != "invalid_client" {
		t.Errorf("%+v", a)
	}
	if a := h.call(t, "/oauth2/revoke", "token", first.Refresh, "client_id", "third"); a.status != 400 {
		t.Errorf("revoked by another client: %+v", a)
	}
	if a := h.refresh(t, first.Refresh); a.status != 200 {
		t.Errorf("its own client: %+v", a)
	}
}

func (h *harness) revocationEndsATokenOrASession(t *testing.T) {
	first := h.tokens(t, h.user(t))
	if a := h.call(t, "/oauth2/revoke", "token", first.Access, "client_id", "shop", "token_type_hint", "refresh_token"); a.status != 200 {
		t.Errorf("%+v", a)
	}
	if h.introspect(t, first.Access).Active {
		t.Error("a revoked access token is active")
	}
	next := h.refresh(t, first.Refresh)
	if next.status != 200 || !h.introspect(t, next.Access).Active {
		t.Errorf("the session of a revoked access token: %+v", next)
	}
	if a := h.call(t, "/oauth2/revoke", "token", first.Refresh, "client_id", "shop"); a.status != 200 { // a used one will do
		t.Errorf("%+v", a)
	}
	h.ended(t, h.session(t, next), next)

	robot := h.call(t, "/oauth2/token", "grant_type", "client_credentials", "basic", "robot:"+robotSecret, "scope", "inventory:read")
	if robot.status != 200 || robot.Scope != "inventory:read" || robot.Refresh != "" {
		t.Fatalf("%+v", robot)
	}
	if i := h.introspect(t, robot.Access); !i.Active || i.Subject != "robot" || i.Client != "robot" || !slices.Equal(i.Aud, []string{"souk"}) {
		t.Errorf("%+v", i)
	}
	if a := h.call(t, "/oauth2/revoke", "token", robot.Access, "basic", "robot:"+robotSecret); a.status != 200 || h.introspect(t, robot.Access).Active {
		t.Errorf("%+v", a)
	}
	for _, nonsense := range []string{"x", "srt_x", "a.b.c", strings.Repeat("x", 8000), "eyJhbGciOiJub25lIn0.e30."} {
		if a := h.call(t, "/oauth2/revoke", "token", nonsense, "client_id", "shop"); a.status != 200 {
			t.Errorf("%.20s: %+v", nonsense, a)
		}
		if h.introspect(t, nonsense).Active {
			t.Errorf("%.20s is active", nonsense)
		}
	}
	if a := h.call(t, "/oauth2/introspect", "token", robot.Access, "client_id", "shop"); a.status != 401 {
		t.Errorf("introspection by a public client: %+v", a)
	}
	if a := h.call(t, "/oauth2/introspect", "token", robot.Access); a.status != 400 {
		t.Errorf("introspection by nobody: %+v", a)
	}
}

func (h *harness) aCodeIsGoodOnce(t *testing.T) {
	u := h.user(t)
	code, verifier := h.code(t, u)
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = h.redeem(t, code, verifier) })
	}
	wg.Wait()
	var given []answer
	for _, a := range answers {
		if a.status == 200 {
			given = append(given, a)
		} else if a.status != 400 || a.Error != "invalid_grant" {
			t.Errorf("%+v", a)
		}
	}
	if len(given) != 1 {
		t.Fatalf("%d grants", len(given))
	}
	h.ended(t, h.session(t, given[0]), given...)

	code, verifier = h.code(t, u)
	first := h.redeem(t, code, verifier)
	if a := h.redeem(t, code, strings.Repeat("x", 43)); a.Error != "invalid_grant" {
		t.Errorf("%+v", a)
	}
	if a := h.refresh(t, first.Refresh); a.status != 200 {
		t.Errorf("who had the code alone ended the session: %+v", a)
	}
	if a := h.redeem(t, code, verifier); a.Error != "invalid_grant" {
		t.Errorf("%+v", a)
	}
	h.ended(t, h.session(t, first), first)
}

func (h *harness) aTransactionThatCommitsLateIsNotSkipped(t *testing.T) {
	ctx := t.Context()
	start, err := h.store.RevokedSince(ctx, "")
	must(t, err)
	late, err := h.pool.Begin(ctx)
	must(t, err)
	defer late.Rollback(ctx) //nolint:errcheck // committed below
	revoke := func(q postgres.Querier, id string) {
		_, err := q.Exec(ctx, "INSERT INTO revocations (kind, id, before, expires, reason) VALUES ('token', $1, now(), now() + interval '1 minute', 'test')", id)
		must(t, err)
	}
	ids := func(cursor string) (found []string, next string) {
		t.Helper()
		feed, err := h.store.RevokedSince(ctx, cursor)
		must(t, err)
		for _, r := range feed.Revocations {
			found = append(found, r.ID)
		}
		return found, feed.Cursor
	}
	revoke(late, "late")
	revoke(h.pool, "early")
	found, cursor := ids(start.Cursor)
	if !slices.Equal(found, []string{"early"}) {
		t.Errorf("before the commit: %v", found)
	}
	must(t, late.Commit(ctx))
	if found, cursor = ids(cursor); !slices.Equal(found, []string{"late"}) {
		t.Errorf("after it: %v", found)
	}
	if found, _ = ids(cursor); len(found) != 0 {
		t.Errorf("then: %v", found)
	}
	for _, nonsense := range []string{"", "x", "1:2:3", "99999999999999:99999999999999:", "18446744073709551616:5:", "5:3:", "0:0:"} {
		if found, next := ids(nonsense); !slices.Contains(found, "late") || next == "" {
			t.Errorf("after %q: %v", nonsense, found)
		}
	}
}

func (h *harness) aVerifierLearnsOfARevocation(t *testing.T) {
	feed, err := h.server.Revocations(t.Context(), "")
	must(t, err)
	waiting := make(chan []string, 1)
	go func() {
		next, err := h.server.Revocations(t.Context(), feed.Cursor)
		if err != nil {
			t.Error(err)
		}
		var ids []string
		for _, r := range next.Revocations {
			ids = append(ids, r.ID)
		}
		waiting <- ids
	}()
	first := h.tokens(t, h.user(t))
	must(t, postgres.Tx(t.Context(), h.pool, func(tx pgx.Tx) error { return nil }))
	if a := h.call(t, "/oauth2/revoke", "token", first.Refresh, "client_id", "shop"); a.status != 200 {
		t.Errorf("%+v", a)
	}
	if ids := <-waiting; !slices.Equal(ids, []string{h.session(t, first).String()}) {
		t.Errorf("got %v", ids)
	}
	for { // the real verifier, which follows over the same Source
		if _, err := h.verifier.Verify(t.Context(), first.Access); errs.CodeOf(err) == "token-revoked" {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
