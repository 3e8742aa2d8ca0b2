package store

import (
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	"github.com/google/uuid"

	"souk/services/users/app"
)

func loginOf(email string) []byte {
	sum := sha256.Sum256([]byte(email))
	return sum[:]
}

// decodeHex is what the \x… texts in a dump stand for, a line each.
func decodeHex(dump string) string {
	var text strings.Builder
	for _, match := range regexp.MustCompile(`\\x([0-9a-f]+)`).FindAllStringSubmatch(dump, -1) {
		if raw, err := hex.DecodeString(match[1]); err == nil {
			text.Write(raw)
			text.WriteByte('\n')
		}
	}
	return text.String()
}

func TestTheNewestFiveLinksOfAMailWork(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.must(a.Register(t.Context(), app.Registration{Email: email, Password: password, Name: "Jane Doe", Locale: "fr"}))
	mail := a.newestMail(email)
	m, err := a.MailContent(t.Context(), mail)
	a.must(err)
	if m.To != email || m.Name != "Jane Doe" || m.Locale != "fr" || m.Kind != app.MailVerifyEmail ||
		!strings.HasPrefix(m.Link, "https://souk.example/account/verify?token=smv_") || time.Until(m.ExpiresAt) < 23*time.Hour {
		t.Errorf("%+v", m)
	}
	links := make([]string, 7)
	for i := range links {
		links[i] = a.token(mail)
	}
	if n := a.count("SELECT count(*) FROM links"); n != app.MaxLinks {
		t.Errorf("%d links work", n)
	}
	for _, secret := range append(links, strings.TrimPrefix(links[6], "smv_")) {
		if strings.Contains(a.everything(), secret) {
			t.Error("a token is in the database")
		}
	}
	if err := a.VerifyEmail(t.Context(), links[1]); !errors.Is(err, app.ErrLinkInvalid) {
		t.Errorf("the second oldest: %v", err)
	}
	a.must(a.VerifyEmail(t.Context(), links[2]))
	a.must(a.VerifyEmail(t.Context(), links[6])) // it is done
}

func TestLinksThatAreNoneAreRefused(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.user(email)
	reset := a.resetToken(email)
	for _, token := range []string{"", "smv_", "x", strings.Repeat("smv_", 1e6), "smv_" + strings.Repeat("A", 43), "smv_" + strings.TrimPrefix(reset, "spr_"), reset, "smv_\x00"} {
		if err := a.VerifyEmail(t.Context(), token); !errors.Is(err, app.ErrLinkInvalid) {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	if err := a.ResetPassword(t.Context(), strings.Replace(reset, "spr_", "smv_", 1), other); !errors.Is(err, app.ErrLinkInvalid) {
		t.Errorf("a reset with a verification's prefix: %v", err)
	}
	before := a.hasher.hashed.Load()
	if err := a.ResetPassword(t.Context(), "spr_"+strings.Repeat("A", 43), other); !errors.Is(err, app.ErrLinkInvalid) || a.hasher.hashed.Load() != before {
		t.Errorf("a guessed reset: %v", err)
	}
	a.exec("UPDATE links SET expires_at = now()")
	if err := a.ResetPassword(t.Context(), reset, other); !errors.Is(err, app.ErrLinkInvalid) {
		t.Errorf("a reset that has run out: %v", err)
	}
}

func TestAMailOfNoUseIsGone(t *testing.T) {
	a, email, nobody := openAccounts(t, strict()), newEmail(), newEmail()
	a.user(email)
	a.must(a.RequestReset(t.Context(), nobody))
	a.must(a.ResendVerification(t.Context(), nobody))
	for _, mail := range append(a.mails(nobody), uuid.New()) {
		if _, err := a.MailContent(t.Context(), mail); !errors.Is(err, app.ErrGone) {
			t.Errorf("a mail to nobody: %v", err)
		}
	}
	token := a.resetToken(email)
	mail := a.newestMail(email)
	a.must(a.ResetPassword(t.Context(), token, other))
	if _, err := a.MailContent(t.Context(), mail); !errors.Is(err, app.ErrGone) {
		t.Errorf("a used reset: %v", err)
	}
	changed := a.newestMail(email)
	a.exec("UPDATE mails SET expires_at = now() WHERE id = $1", changed)
	if _, err := a.MailContent(t.Context(), changed); !errors.Is(err, app.ErrGone) {
		t.Errorf("one that has run out: %v", err)
	}
	// The e-mail has got an account since the registration's mail was asked for.
	late := newEmail()
	a.must(a.Register(t.Context(), app.Registration{Email: late, Password: password, Name: "Jane Doe"}))
	first := a.newestMail(late)
	a.exec("UPDATE mails SET login = $2 WHERE id = $1", first, loginOf(email))
	if m, err := a.MailContent(t.Context(), first); err != nil || m.Kind != app.MailAccountExists || m.Link != "" || m.To != email {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestAskingAgainSendsToTheNewestRegistration(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	a.must(a.Register(t.Context(), app.Registration{Email: email, Password: password, Name: "Jane Doe"}))
	a.must(a.Register(t.Context(), app.Registration{Email: email, Password: other, Name: "Jane D."}))
	a.must(a.ResendVerification(t.Context(), email))
	a.must(a.VerifyEmail(t.Context(), a.token(a.newestMail(email))))
	if u, err := a.LogIn(t.Context(), email, other, from(1)); err != nil || u.Name != "Jane D." {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestWhatFailsLeavesNeitherChangeNorEvent(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.user(email)
	verify, reset := newEmail(), a.resetToken(email)
	a.must(a.Register(t.Context(), app.Registration{Email: verify, Password: password, Name: "Jane Doe"}))
	link := a.token(a.newestMail(verify))
	a.exec("ALTER TABLE outbox ADD CONSTRAINT none CHECK (id < 0) NOT VALID") // no event can be stored
	a.exec("DELETE FROM attempts")
	before := a.everything()
	for what, err := range map[string]error{
		"register": a.Register(t.Context(), app.Registration{Email: newEmail(), Password: password, Name: "Jane Doe"}),
		"verify":   a.VerifyEmail(t.Context(), link),
		"ask":      a.RequestReset(t.Context(), email),
		"reset":    a.ResetPassword(t.Context(), reset, other),
		"change":   a.ChangePassword(t.Context(), u.ID, uuid.Nil, password, other, from(1)),
		"roles":    second(a.SetRoles(t.Context(), uuid.Nil, u.ID, nil, []string{app.Admin})),
		"erase":    a.Erase(t.Context(), u.ID),
	} {
		if err == nil {
			t.Errorf("%s succeeded without its event", what)
		}
	}
	// The change of password began by comparing the current one, which is a step of its own.
	a.exec("DELETE FROM known_addresses")
	a.exec("DELETE FROM attempts")
	after := a.everything()
	if before != after {
		t.Errorf("something has changed:\n%s\nto\n%s", before, after)
	}
}

func TestWhatHasRunOutIsTidied(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.full(email)
	fresh := newEmail()
	a.must(a.Register(t.Context(), app.Registration{Email: fresh, Password: password, Name: "Jane Doe"}))
	a.token(a.newestMail(fresh))
	tables := []string{"registrations", "mails", "links", "attempts", "known_addresses"}
	counts := func() (n []int) {
		for _, table := range tables {
			n = append(n, a.count("SELECT count(*) FROM "+table))
		}
		return n
	}
	before := counts()
	for {
		n, err := a.db.tidy(t.Context())
		a.must(err)
		if n == 0 {
			break
		}
	}
	for i, n := range counts() {
		if n != before[i] || n == 0 {
			t.Errorf("%s: %d rows of %d are left while they are good", tables[i], n, before[i])
		}
	}
	a.exec("UPDATE registrations SET expires_at = now() - interval '1 second'")
	a.exec("UPDATE mails SET expires_at = now() - interval '1 second'")
	a.exec("UPDATE attempts SET last_at = now() - interval '25 hours', locked_until = now() - interval '1 second'")
	a.exec("UPDATE known_addresses SET last_login_at = now() - interval '31 days'")
	a.exec("INSERT INTO attempts (key, failures, began_at, last_at) SELECT sha256(convert_to(i::text, 'UTF8')), 1, now() - interval '2 days', now() - interval '2 days' FROM generate_series(1, 2500) i")
	for {
		n, err := a.db.tidy(t.Context())
		a.must(err)
		if n == 0 {
			break
		}
	}
	for i, n := range counts() {
		if n != 0 {
			t.Errorf("%s: %d rows are left", tables[i], n)
		}
	}
	if _, err := a.User(t.Context(), u.ID); err != nil {
		t.Error(err)
	}
}
