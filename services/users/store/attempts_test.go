package store

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/internal/errs"
	"souk/services/users/app"
)

func (a accounts) fail(email string, from netip.Addr) error {
	_, err := a.LogIn(a.t.Context(), email, "not the password", from)
	return err
}

func TestFiftyWrongLoginsAtOnceAreFiveGuesses(t *testing.T) {
	a := openAccounts(t, strict())
	known, unknown := newEmail(), newEmail()
	a.user(known)
	for _, email := range []string{known, unknown} {
		before := a.hasher.hashed.Load()
		got := atOnce(50, codeOf, func(i int) error { return a.fail(email, from(i)) })
		if !is(got, "map[login-locked:45 wrong-credentials:5]") {
			t.Errorf("outcomes %v", got)
		}
		if n := a.hasher.hashed.Load() - before; n != 5 {
			t.Errorf("%d hashes", n)
		}
		if n := a.count("SELECT failures FROM attempts WHERE login = sha256(convert_to($1, 'UTF8'))", email); n != 5 {
			t.Errorf("%d failures are counted", n)
		}
	}
	if n := a.count("SELECT sum(failures) FROM attempts WHERE login IS NULL"); n != 10 {
		t.Errorf("%d failures are counted against addresses, want those that were not refused", n)
	}
}

func TestALockIsTheSameForAnEmailWithoutAccount(t *testing.T) {
	a := openAccounts(t, strict())
	known, unknown := newEmail(), newEmail()
	a.user(known)
	type answers struct{ errors []*errs.Error }
	outcome := func(email string) (all answers) {
		for range 8 {
			e := (*errs.Error)(nil)
			if err := a.fail(email, from(9)); !errors.As(err, &e) {
				t.Fatal(err)
			}
			if e.RetryAfter > 0 {
				e = e.After(e.RetryAfter.Round(10 * time.Second)) // a slow machine
			}
			all.errors = append(all.errors, e)
		}
		return all
	}
	k, u := outcome(known), outcome(unknown)
	if !reflect.DeepEqual(k, u) {
		t.Errorf("known %v, unknown %v", k, u)
	}
	if last := k.errors[7]; last.Kind != errs.TooMany || last.Code != "login-locked" || last.RetryAfter != time.Minute {
		t.Errorf("%v after %s", last, last.RetryAfter)
	}
}

func TestALoginWithAnUnknownEmailHashesAsOneWithAKnown(t *testing.T) {
	a := openAccounts(t, strict())
	known := newEmail()
	a.user(known)
	for _, email := range []string{known, newEmail(), "no e-mail at all", "", strings.Repeat("x", 10_000) + "@mail.example", "jane@ｍail.example"} {
		for range 3 {
			before := a.hasher.hashed.Load()
			if err := a.fail(email, from(9)); !errors.Is(err, app.ErrWrongCredentials) {
				t.Errorf("%.40q: %v", email, err)
			}
			if n := a.hasher.hashed.Load() - before; n != 1 {
				t.Errorf("%.40q: %d hashes", email, n)
			}
		}
	}
}

func TestLocksDoubleUpToTheLongest(t *testing.T) {
	l := app.Lockout{AccountFailures: 3, AccountWindow: time.Hour, AddressFailures: 5, AddressWindow: time.Hour, First: 10 * time.Second, Longest: time.Minute}
	a := openAccounts(t, l)
	expect := func(what, email string, from netip.Addr, locks ...time.Duration) {
		t.Helper()
		for i, lock := range locks {
			if err := a.fail(email, from); !errors.Is(err, app.ErrWrongCredentials) {
				t.Fatalf("%s, failure %d: %v", what, i+1, err)
			}
			e := (*errs.Error)(nil)
			if err := a.fail(email, from); !errors.As(err, &e) || e.RetryAfter > lock || e.RetryAfter < lock-5*time.Second {
				t.Errorf("%s, after failure %d: %v, want a lock of %s", what, i+1, err, lock)
			}
			a.exec("UPDATE attempts SET locked_until = now() WHERE locked_until > now()") // time flies
		}
	}
	email := newEmail()
	for range 2 {
		a.must(skip(a.fail(email, netip.Addr{})))
	}
	expect("account", email, netip.Addr{}, 10*time.Second, 20*time.Second, 40*time.Second, time.Minute, time.Minute)

	v6 := netip.MustParseAddr("2001:db8:1:2::1")
	for i := range 4 {
		a.must(skip(a.fail(newEmail(), netip.MustParseAddr("2001:db8:1:2:"+string(rune('a'+i))+"::1"))))
	}
	expect("address", newEmail(), v6, 10*time.Second)
	expect("address", newEmail(), v6, 20*time.Second)
	a.must(skip(a.fail(newEmail(), netip.MustParseAddr("2001:db8:1:3::1")))) // a neighbour

	// When the window is over it begins anew.
	a.exec("UPDATE attempts SET began_at = began_at - interval '61 minutes'")
	for range 2 {
		a.must(skip(a.fail(email, v6)))
	}
}

// skip has wrong credentials be no error.
func skip(err error) error {
	if errors.Is(err, app.ErrWrongCredentials) {
		return nil
	}
	return err
}

func TestWhatALockRefusesDoesNotCountAgainstTheAddress(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	for range 200 {
		_ = a.fail(email, from(9))
	}
	if n := a.count("SELECT failures FROM attempts WHERE login IS NULL"); n != 5 {
		t.Errorf("%d failures of the address", n)
	}
	if err := a.fail(newEmail(), from(9)); !errors.Is(err, app.ErrWrongCredentials) {
		t.Errorf("another account from there: %v", err)
	}
}

func TestAnAddressThatTheAccountKnowsIsNotLockedOutByOthers(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.user(email)
	home := netip.MustParseAddr("2001:db8:1:2::1")
	if _, err := a.LogIn(t.Context(), email, password, home); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		_ = a.fail(email, from(66))
	}
	if _, err := a.LogIn(t.Context(), email, password, from(67)); !errors.Is(err, app.ErrLoginLocked) {
		t.Errorf("from an address that is not known: %v", err)
	}
	// So is its network locked, by whoever shares it.
	a.exec("UPDATE attempts SET failures = 100, locked_until = now() + interval '1 minute'")
	if _, err := a.LogIn(t.Context(), email, password, home.Next()); err != nil {
		t.Errorf("from the network that is known: %v", err)
	}
	// It can't guess more than others.
	got := atOnce(20, codeOf, func(int) error { return a.fail(email, home) })
	if !is(got, "map[login-locked:15 wrong-credentials:5]") {
		t.Errorf("guesses from the known network: %v", got)
	}
	// It is forgotten after a month.
	a.exec("DELETE FROM attempts")
	for range 5 {
		a.must(skip(a.fail(email, from(66))))
	}
	a.exec("UPDATE known_addresses SET last_login_at = now() - interval '31 days'")
	if _, err := a.LogIn(t.Context(), email, password, home); !errors.Is(err, app.ErrLoginLocked) {
		t.Errorf("after 31 days: %v", err)
	}
}

func TestASuccessForgetsTheAccountsFailuresAndNotTheAddresss(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.user(email)
	for range 3 {
		for range 4 {
			a.must(skip(a.fail(email, from(9))))
		}
		if _, err := a.LogIn(t.Context(), email, password, from(10)); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.count("SELECT count(*) FROM attempts WHERE login IS NOT NULL"); n != 0 {
		t.Errorf("%d counters of accounts are left", n)
	}
	if n := a.count("SELECT max(failures) FROM attempts"); n != 12 {
		t.Errorf("%d failures of the address are left", n)
	}
	if n := a.count("SELECT sum(failures) FROM attempts"); n != 12 {
		t.Errorf("successes count as failures of their address: %d", n)
	}
}

func TestAUserWhoseDevicesAllLogInAtOnceIsNotLockedOut(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.user(email)
	got := atOnce(30, codeOf, func(i int) error {
		_, err := a.LogIn(t.Context(), email, password, from(i))
		return err
	})
	if !is(got, "map[:30]") {
		t.Errorf("outcomes %v", got)
	}
}

func TestAnAttemptThatNobodyHasSeenTheEndOfIsNotCounted(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.user(email)
	a.hasher.Hasher = busy{a.hasher.Hasher}
	for range 10 {
		if err := a.fail(email, from(9)); errs.CodeOf(err) != "too-busy" {
			t.Fatal(err)
		}
	}
	if n := a.count("SELECT sum(failures) FROM attempts"); n != 0 {
		t.Errorf("%d failures", n)
	}
	if n := a.count("SELECT count(*) FROM attempts WHERE locked_until IS NOT NULL"); n != 0 {
		t.Errorf("%d locks", n)
	}
}

// busy has no slot free.
type busy struct{ app.Hasher }

func (busy) Verify(context.Context, netip.Addr, string, string) (bool, bool, error) {
	return false, false, errs.New(errs.Unavailable, "too-busy", "")
}

func TestAUserIsToldOfALockOnceADay(t *testing.T) {
	a, email, unknown := openAccounts(t, strict()), newEmail(), newEmail()
	u := a.user(email)
	lock := func() {
		for _, e := range []string{email, unknown} {
			for range 6 {
				_ = a.fail(e, from(9))
			}
		}
	}
	announce := func() {
		var instances sync.WaitGroup
		for range 4 {
			instances.Go(func() { a.must(a.db.announceLocks(context.Background(), 0)) })
		}
		instances.Wait()
	}
	before := len(a.events(u.ID))
	for range 4 {
		a.must(skip(a.fail(email, from(9))))
	}
	announce()
	if n := len(a.events(u.ID)); n != before {
		t.Error("it was told of failures that lock nothing")
	}
	lock()
	a.must(a.db.announceLocks(t.Context(), time.Minute)) // too early
	announce()
	announce()
	got := a.events(u.ID)[before:]
	if len(got) != 2 || !strings.HasPrefix(got[0], `souk.users.user.locked.v1 2 {"user_id":"`+u.ID.String()+`","until":"2`) || !strings.Contains(got[1], "account_locked") {
		t.Errorf("events %v", got)
	}
	m, err := a.MailContent(t.Context(), a.newestMail(email))
	if err != nil || m.Kind != app.MailAccountLocked || m.To != email || m.Link != "" {
		t.Errorf("the mail is %+v, %v", m, err)
	}
	if n := len(a.mails(unknown)); n != 0 {
		t.Errorf("%d mails to an e-mail without account", n)
	}
	a.exec("DELETE FROM attempts")
	lock()
	announce()
	if n := len(a.events(u.ID)) - before; n != 2 {
		t.Errorf("%d events after another lock on the same day", n)
	}
	a.exec("UPDATE users SET lock_told_at = lock_told_at - interval '25 hours'")
	a.exec("DELETE FROM attempts")
	lock()
	announce()
	if n := len(a.events(u.ID)) - before; n != 4 {
		t.Errorf("%d events after another lock on the next day", n)
	}
}
