package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/services/users/app"
)

// session opens one for the user.
func (a accounts) session(u app.User) uuid.UUID {
	a.t.Helper()
	id, err := uuid.NewV7()
	a.must(err)
	now := time.Now()
	a.must(a.db.OpenSession(a.t.Context(), app.Session{
		ID: id, UserID: u.ID, ClientID: "souk", Scopes: []string{"account"}, UserAgent: "Lynx", Address: "192.0.2.7",
		CreatedAt: now, LastUsedAt: now, AuthTime: now, ExpiresAt: now.Add(time.Hour),
	}, u.Version, []byte(id.String())))
	return id
}

func (a accounts) resetToken(email string) string {
	a.t.Helper()
	a.must(a.RequestReset(a.t.Context(), email))
	return a.token(a.newestMail(email))
}

func TestALinkResetsThePasswordOnceAndEndsEverythingOld(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.user(email)
	a.session(u)
	for range 6 {
		_ = a.fail(email, from(9))
	}
	tokens := []string{a.resetToken(email), a.resetToken(email)}
	words := []string{other, "seven grey herons, 2nd"}
	got := atOnce(10, codeOf, func(i int) error { return a.ResetPassword(t.Context(), tokens[i%2], words[i%2]) })
	if !is(got, "map[:1 link-invalid:9]") {
		t.Errorf("outcomes %v", got)
	}
	ok := 0
	for _, word := range append(words, password) {
		switch _, err := a.LogIn(t.Context(), email, word, from(9)); {
		case err == nil:
			ok++
			if word == password {
				t.Error("the old password still works")
			}
		case !errors.Is(err, app.ErrWrongCredentials): // it was locked
			t.Errorf("a login after the reset: %v", err)
		}
	}
	if ok != 1 {
		t.Errorf("%d of the new passwords work", ok)
	}
	if n := a.count("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM links WHERE kind = 'reset_password')"); n != 0 {
		t.Errorf("%d sessions and links are left", n)
	}
	if n := a.count("SELECT count(*) FROM revocations"); n != 1 {
		t.Errorf("%d revocations", n)
	}
	m, err := a.MailContent(t.Context(), a.newestMail(email))
	if err != nil || m.Kind != app.MailPasswordChanged {
		t.Errorf("the mail afterwards is %+v, %v", m, err)
	}
	if u, err = a.User(t.Context(), u.ID); err != nil || u.Version != 3 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestAPasswordThatARuleRefusesLeavesTheLinkWorking(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.user(email)
	token := a.resetToken(email)
	if err := a.ResetPassword(t.Context(), token, "password1"); codeOf(err) != "weak-password" {
		t.Errorf("a weak password: %v", err)
	}
	a.must(a.ResetPassword(t.Context(), token, other))
}

func TestOfAResetAndAChangeAtOnceOneWins(t *testing.T) {
	a := openAccounts(t, strict())
	for range 5 {
		email := newEmail()
		u := a.user(email)
		a.session(u)
		token := a.resetToken(email)
		const third = "seven grey herons, 2nd"
		got := atOnce(2, codeOf, func(i int) error {
			if i == 0 {
				return a.ResetPassword(t.Context(), token, other)
			}
			return a.ChangePassword(t.Context(), u.ID, uuid.Nil, password, third, from(1))
		})
		winner := map[string]string{"map[:1 wrong-password:1]": other, "map[:1 link-invalid:1]": third}[fmt.Sprint(got)]
		if winner == "" {
			t.Fatalf("outcomes %v", got)
		}
		for _, word := range []string{password, other, third} {
			if _, err := a.LogIn(t.Context(), email, word, from(2)); (err == nil) != (word == winner) {
				t.Errorf("a login after %v: %v", got, err)
			}
		}
		if n := a.count("SELECT count(*) FROM sessions WHERE user_id = $1", u.ID); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	}
}

func TestAChangeThatWasOvertakenByAResetIsRefused(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.user(email)
	token := a.resetToken(email)
	verify := make(chan struct{})
	inner := a.hasher.Hasher
	a.hasher.Hasher = slow{inner, verify}
	changed := make(chan error)
	go func() {
		changed <- a.ChangePassword(context.Background(), u.ID, uuid.Nil, password, "the thief's own words 9", from(66))
	}()
	verify <- struct{}{} // the thief's old password has been compared
	a.must(a.ResetPassword(t.Context(), token, other))
	verify <- struct{}{}
	if err := <-changed; !errors.Is(err, app.ErrWrongPassword) {
		t.Errorf("the change: %v", err)
	}
	a.hasher.Hasher = inner
	if _, err := a.LogIn(t.Context(), email, other, from(1)); err != nil {
		t.Error(err)
	}
}

// slow stops after each comparison until it is told to go on.
type slow struct {
	app.Hasher
	step chan struct{}
}

func (s slow) Verify(ctx context.Context, from netip.Addr, p, hash string) (bool, bool, error) {
	matches, outdated, err := s.Hasher.Verify(ctx, from, p, hash)
	<-s.step
	<-s.step
	return matches, outdated, err
}

func TestAChangeOfPasswordEndsTheOtherSessionsAndTheLinks(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.user(email)
	keep := a.session(u)
	a.session(u)
	token := a.resetToken(email)
	for _, c := range []struct{ current, new, code string }{
		{"wrong", other, "wrong-password"}, {password, "password1", "weak-password"}, {password, other, ""}, {password, other, "wrong-password"},
	} {
		if err := a.ChangePassword(t.Context(), u.ID, keep, c.current, c.new, from(1)); codeOf(err) != c.code {
			t.Errorf("%+v: %v", c, err)
		}
	}
	sessions, err := a.db.Sessions(t.Context(), u.ID)
	if err != nil || len(sessions) != 1 || sessions[0].ID != keep {
		t.Errorf("%v, %v", sessions, err)
	}
	if err := a.ResetPassword(t.Context(), token, other); !errors.Is(err, app.ErrLinkInvalid) {
		t.Errorf("a link from before: %v", err)
	}
	if last := a.events(u.ID); !strings.Contains(last[len(last)-1], "password_changed") {
		t.Errorf("events %v", last)
	}
	// A stolen access token is no place to guess passwords.
	got := map[string]int{}
	for range 10 {
		got[codeOf(a.ChangePassword(t.Context(), u.ID, keep, "wrong", other, from(1)))]++
	}
	if !is(got, "map[login-locked:6 wrong-password:4]") { // one was counted before
		t.Errorf("outcomes %v", got)
	}
}

func TestASessionIsNotOpenedOnAPasswordThatHasChangedMeanwhile(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.user(email)
	u, err := a.LogIn(t.Context(), email, password, from(1))
	a.must(err)
	a.must(a.ResetPassword(t.Context(), a.resetToken(email), other))
	err = a.db.OpenSession(t.Context(), app.Session{ID: uuid.New(), UserID: u.ID}, u.Version, nil)
	if !errors.Is(err, app.ErrUserChanged) {
		t.Errorf("a session on the old password: %v", err)
	}
}

func TestAHashOfOldParametersIsReplacedAtLogin(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	before := a.user(email)
	// The same password, as it was hashed years ago: m=8192, t=1.
	old := oldHash(t, password)
	a.exec("UPDATE users SET password_hash = $2 WHERE id = $1", before.ID, old)
	for range 2 {
		u, err := a.LogIn(t.Context(), email, password, from(1))
		if err != nil || u.Version != before.Version {
			t.Fatalf("%+v, %v", u, err)
		}
	}
	if n := a.count("SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'"); n != 1 {
		t.Error("it was not hashed anew")
	}
}
