package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/services/users/app"
)

// codeOf is an error's code, "" for none.
func codeOf(err error) string {
	if err != nil && errs.CodeOf(err) == "" {
		return err.Error()
	}
	return errs.CodeOf(err)
}

func TestARegistrationIsNoUserUntilItsLinkIsFollowed(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.must(a.Register(t.Context(), app.Registration{Email: strings.ToUpper(email), Password: password, Name: "Jane Doe", Locale: "de-AT", From: from(1)}))
	if _, err := a.LogIn(t.Context(), email, password, from(1)); !errors.Is(err, app.ErrWrongCredentials) {
		t.Errorf("a login before the link was followed: %v", err)
	}
	if n := a.count("SELECT count(*) FROM users"); n != 0 {
		t.Errorf("%d users", n)
	}
	a.must(a.VerifyEmail(t.Context(), a.token(a.newestMail(email))))
	u, err := a.LogIn(t.Context(), email, password, from(1))
	a.must(err)
	if u.Email != email || u.Name != "Jane Doe" || u.Locale != "de-AT" || u.Version != 2 || len(u.Roles) != 1 || u.Roles[0] != app.Customer || u.ID.Version() != 7 {
		t.Errorf("the user is %+v", u)
	}
	id := u.ID.String()
	want := `souk.users.user.registered.v1 1 {"user_id":"` + id + `"}|souk.users.user.verified.v1 2 {"user_id":"` + id + `"}`
	if got := strings.Join(a.events(u.ID)[1:], "|"); got != want { // the first had the mail sent
		t.Errorf("events %s", got)
	}
}

func TestTwoVerificationsOfOneLinkAtOnceMakeOneUser(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.must(a.Register(t.Context(), app.Registration{Email: email, Password: password, Name: "Jane Doe"}))
	mail := a.newestMail(email)
	tokens := []string{a.token(mail), a.token(mail)} // the mail was sent twice
	got := atOnce(20, codeOf, func(i int) error { return a.VerifyEmail(t.Context(), tokens[i%2]) })
	if !is(got, "map[:20]") {
		t.Errorf("outcomes %v", got)
	}
	u, err := a.FindByEmail(t.Context(), email)
	a.must(err)
	if n := len(a.events(u.ID)); n != 3 {
		t.Errorf("%d events: %v", n, a.events(u.ID))
	}
	if _, err := a.MailContent(t.Context(), mail); !errors.Is(err, app.ErrGone) {
		t.Errorf("the mail afterwards: %v", err)
	}
}

func TestOfTwoRegistrationsOfOneEmailTheOneWhoseLinkIsFollowedWins(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	words := []string{password, other}
	got := atOnce(2, codeOf, func(i int) error {
		return a.Register(t.Context(), app.Registration{Email: email, Password: words[i], Name: "Jane Doe", From: from(i)})
	})
	mails := a.mails(email)
	if !is(got, "map[:2]") || len(mails) != 2 {
		t.Fatalf("outcomes %v, %d mails", got, len(mails))
	}
	tokens := []string{a.token(mails[0]), a.token(mails[1])}
	got = atOnce(2, codeOf, func(i int) error { return a.VerifyEmail(t.Context(), tokens[i]) })
	if !is(got, "map[:1 link-invalid:1]") {
		t.Errorf("both links followed: %v", got)
	}
	if n := a.count("SELECT count(*) FROM users"); n != 1 {
		t.Errorf("%d users", n)
	}
	if n := a.count("SELECT (SELECT count(*) FROM registrations) + (SELECT count(*) FROM outbox WHERE convert_from(value, 'UTF8') LIKE '%user_id%')"); n != 2 {
		t.Errorf("%d registrations and events, want the two events of one user", n)
	}
}

// By two instances' clocks, or when the hashes took turns, the later registration may look like the older one.
func TestEachRegistrationsMailIsAboutItselfWhateverTheClocksSay(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	now := time.Now()
	for i, name := range []string{"Mallory", "Jane Doe"} {
		created := now.Add(time.Duration(-i) * time.Minute)
		a.must(a.db.Register(t.Context(), app.Pending{
			ID: uuid.New(), Login: loginOf(email), Email: email, PasswordHash: "none", Name: name, Locale: "en",
			CreatedAt: created, ExpiresAt: created.Add(time.Hour),
		}))
		if m, err := a.MailContent(t.Context(), a.newestMail(email)); err != nil || m.Name != name {
			t.Errorf("the mail to %s is to %q, %v", name, m.Name, err)
		}
	}
}

// The attacker cannot read the victim's mail. What he can have is a registration with his password and the victim's
// e-mail.
func TestAnAttackerWhoRegistersTheEmailFirstIsOutWhenTheVictimFollowsAnotherLink(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	const evil = "mallory was here 1st!"
	a.must(a.Register(t.Context(), app.Registration{Email: email, Password: evil, Name: "Mallory", From: from(66)}))
	attackers := a.newestMail(email)
	a.must(a.Register(t.Context(), app.Registration{Email: email, Password: password, Name: "Jane Doe", From: from(1)}))
	a.must(a.VerifyEmail(t.Context(), a.token(a.newestMail(email))))
	if _, err := a.LogIn(t.Context(), email, evil, from(66)); !errors.Is(err, app.ErrWrongCredentials) {
		t.Errorf("the attacker logs in: %v", err)
	}
	if u, err := a.LogIn(t.Context(), email, password, from(1)); err != nil || u.Name != "Jane Doe" {
		t.Errorf("the victim logs in: %+v, %v", u, err)
	}
	if _, err := a.MailContent(t.Context(), attackers); !errors.Is(err, app.ErrGone) {
		t.Errorf("the attacker's mail: %v", err)
	}

	// The victim follows the attacker's link: nobody is logged in by that, and setting a password puts the attacker out.
	email = newEmail()
	a.must(a.Register(t.Context(), app.Registration{Email: email, Password: evil, Name: "Mallory", From: from(66)}))
	a.must(a.VerifyEmail(t.Context(), a.token(a.newestMail(email))))
	a.must(a.RequestReset(t.Context(), email))
	a.must(a.ResetPassword(t.Context(), a.token(a.newestMail(email)), password))
	if _, err := a.LogIn(t.Context(), email, evil, from(66)); !errors.Is(err, app.ErrWrongCredentials) {
		t.Errorf("the attacker logs in after the reset: %v", err)
	}
	if _, err := a.LogIn(t.Context(), email, password, from(1)); err != nil {
		t.Errorf("the victim logs in after the reset: %v", err)
	}
}

func TestRegisteringAKnownEmailTellsOnlyItsOwner(t *testing.T) {
	a, known, unknown := openAccounts(t, strict()), newEmail(), newEmail()
	u := a.user(known)
	var hashed [2]int64
	for i, email := range []string{known, unknown} {
		before := a.hasher.hashed.Load()
		if err := a.Register(t.Context(), app.Registration{Email: email, Password: other, Name: "Mallory"}); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		hashed[i] = a.hasher.hashed.Load() - before
	}
	if hashed != [2]int64{1, 1} {
		t.Errorf("hashes made: %v", hashed)
	}
	m, err := a.MailContent(t.Context(), a.newestMail(known))
	a.must(err)
	if m.Kind != app.MailAccountExists || m.Link != "" || m.To != known || m.Name != "Jane Doe" {
		t.Errorf("the mail to the owner is %+v", m)
	}
	if again, err := a.LogIn(t.Context(), known, password, from(1)); err != nil || again.ID != u.ID {
		t.Errorf("the owner: %v", err)
	}
}

func TestNobodyCanFloodAMailboxNorTheTables(t *testing.T) {
	a, known, unknown := openAccounts(t, strict()), newEmail(), newEmail()
	a.user(known)
	for _, email := range []string{known, unknown} {
		got := atOnce(12, codeOf, func(i int) error {
			switch i % 3 {
			case 0:
				return a.Register(t.Context(), app.Registration{Email: email, Password: password, Name: "Jane Doe", From: from(i)})
			case 1:
				return a.ResendVerification(t.Context(), email)
			}
			return a.RequestReset(t.Context(), email)
		})
		for range 5 {
			a.must(a.ResendVerification(t.Context(), email))
			a.must(a.RequestReset(t.Context(), email))
		}
		if n := len(a.mails(email)); !is(got, "map[:12]") || n != 2*app.MaxMails {
			t.Errorf("outcomes %v, %d mails", got, n)
		}
	}
	// An hour later there may be more, and old registrations make room.
	a.exec("UPDATE mails SET created_at = created_at - interval '61 minutes'")
	for range 2 * app.MaxRegistrations {
		a.must(a.Register(t.Context(), app.Registration{Email: unknown, Password: password, Name: "Jane Doe"}))
	}
	if n := a.count("SELECT count(*) FROM registrations WHERE email = $1", unknown); n != app.MaxRegistrations {
		t.Errorf("%d registrations are pending", n)
	}
}
