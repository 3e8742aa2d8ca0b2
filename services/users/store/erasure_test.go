package store

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/services/users/app"
)

// everything is all rows of all tables of the schema, as text: one line a row.
func (a accounts) everything() string {
	a.t.Helper()
	rows, err := a.db.pool.Query(a.t.Context(), "SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1 ORDER BY 1", a.schema)
	a.must(err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	a.must(err)
	if len(tables) < 15 {
		a.t.Fatalf("only the tables %v", tables)
	}
	var dump strings.Builder
	for _, table := range tables {
		rows, err := a.db.pool.Query(a.t.Context(), fmt.Sprintf("SELECT t::text FROM %s t", pgx.Identifier{table}.Sanitize()))
		a.must(err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		a.must(err)
		for _, line := range lines {
			fmt.Fprintf(&dump, "%s: %s\n", table, line)
		}
	}
	// Bytes are shown in hex: what is text in them, such as the values of events, shall be found too.
	return dump.String() + decodeHex(dump.String())
}

// full has a user with something in every table that can have it.
func (a accounts) full(email string) app.User {
	a.t.Helper()
	u := a.user(email)
	phone := "+4915112345678"
	home := []app.Address{{Label: "Zuhause", Name: "Jane Doe", Line1: "Mühlgasse 17", City: "Regensburg", PostalCode: "93047", Country: "DE"}}
	u, err := a.Update(a.t.Context(), u.ID, nil, app.Patch{Phone: &phone, Addresses: &home})
	a.must(err)
	_, err = a.LogIn(a.t.Context(), email, password, netip.MustParseAddr("203.0.113.77"))
	a.must(err)
	a.session(u)
	a.exec("INSERT INTO consents (user_id, client_id, scopes) VALUES ($1, 'shop-app', '{account}')", u.ID)
	a.exec("INSERT INTO browser_sessions (hash, user_id, auth_time, expires_at) VALUES ('\\x01', $1, now(), now() + interval '1 hour')", u.ID)
	a.must(a.Register(a.t.Context(), app.Registration{Email: email, Password: other, Name: "Jane Doe"})) // an account exists
	a.resetToken(email)
	for range 6 {
		_ = a.fail(email, from(9))
	}
	a.must(a.db.announceLocks(a.t.Context(), 0))
	return u
}

func TestErasureLeavesNoPersonalDataInAnyTable(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.full(email)
	bystander := a.user(newEmail())
	secrets := []string{email, strings.Split(email, "@")[0], "Jane Doe", "4915112345678", "Mühlgasse", "Regensburg", "93047", "203.0.113.77", "192.0.2.7", "argon2id", "Lynx", "shop-app"}
	a.exec("UPDATE users SET name = 'A B', password_hash = 'none' WHERE id = $1", bystander.ID)
	before := a.everything()
	for _, s := range secrets {
		if !strings.Contains(before, s) {
			t.Errorf("%q was nowhere to begin with: the test would find nothing", s)
		}
	}
	a.must(a.Erase(t.Context(), u.ID))
	for line := range strings.Lines(a.everything()) {
		for _, s := range secrets {
			if strings.Contains(line, s) && !strings.Contains(line, bystander.ID.String()) {
				t.Errorf("%q is still there: %s", s, line)
			}
		}
	}
	login := fmt.Sprintf("%x", loginOf(email))
	if strings.Contains(a.everything(), login) {
		t.Error("the hash of the e-mail is still there")
	}
	events := a.events(u.ID)
	if want := fmt.Sprintf(`souk.users.user.erased.v1 %d {"user_id":"%s"}`, u.Version+1, u.ID); events[len(events)-1] != want {
		t.Errorf("events %v", events)
	}
	if n := a.count("SELECT count(*) FROM revocations WHERE kind = 'subject' AND id = $1 AND before > now() - interval '5 seconds'", u.ID.String()); n != 1 {
		t.Errorf("%d revocations", n)
	}
	if _, err := a.User(t.Context(), bystander.ID); err != nil {
		t.Errorf("another user: %v", err)
	}
}

func TestAnErasedUserIsGoneForEverybody(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.full(email)
	token, mail := a.resetToken(email), a.newestMail(email)
	got := atOnce(5, codeOf, func(int) error { return a.Erase(t.Context(), u.ID) })
	if !is(got, "map[:1 gone:4]") {
		t.Errorf("erased five times at once: %v", got)
	}
	name := "Jane"
	for what, err := range map[string]error{
		"user":     second(a.User(t.Context(), u.ID)),
		"export":   second(a.Export(t.Context(), u.ID)),
		"mail":     second(a.MailContent(t.Context(), mail)),
		"update":   second(a.Update(t.Context(), u.ID, nil, app.Patch{Name: &name})),
		"roles":    second(a.SetRoles(t.Context(), uuid.Nil, u.ID, nil, []string{app.Admin})),
		"password": a.ChangePassword(t.Context(), u.ID, uuid.Nil, password, other, from(1)),
	} {
		if !errors.Is(err, app.ErrGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := a.LogIn(t.Context(), email, password, from(20)); !errors.Is(err, app.ErrWrongCredentials) {
		t.Errorf("login: %v", err)
	}
	if err := a.ResetPassword(t.Context(), token, other); !errors.Is(err, app.ErrLinkInvalid) {
		t.Errorf("reset: %v", err)
	}
	if _, err := a.User(t.Context(), uuid.New()); !errors.Is(err, app.ErrUserNotFound) {
		t.Errorf("somebody who never was: %v", err)
	}
	there := a.user(newEmail())
	contacts, err := a.Contacts(t.Context(), []uuid.UUID{u.ID, there.ID, uuid.New(), there.ID})
	if err != nil || len(contacts) != 1 || contacts[0] != (app.Contact{ID: there.ID, Email: there.Email, Name: there.Name, Locale: there.Locale}) {
		t.Errorf("contacts: %+v %v", contacts, err)
	}
	// The e-mail is free.
	again := a.user(email)
	if again.ID == u.ID || again.Phone != "" {
		t.Errorf("%+v", again)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnErasureAmidLoginsAndRegistrationsLeavesNothing(t *testing.T) {
	a, email := openAccounts(t, app.DefaultLockout()), newEmail()
	u := a.full(email)
	a.exec("DELETE FROM attempts")
	codes := atOnce(12, codeOf, func(i int) error {
		switch i % 4 {
		case 0:
			return second(a.LogIn(t.Context(), email, password, from(30+i)))
		case 1:
			return a.RequestReset(t.Context(), email)
		case 2:
			return a.ChangePassword(t.Context(), u.ID, uuid.Nil, password, other, from(30+i))
		}
		return a.Erase(t.Context(), u.ID)
	})
	t.Log(codes)
	if codes["gone"] < 2 {
		t.Errorf("outcomes %v", codes)
	}
	dump := a.everything()
	for _, s := range []string{email, "Jane Doe", "Regensburg", "argon2id", "192.0.2.3"} {
		if strings.Contains(dump, s) {
			t.Errorf("%q is still there", s)
		}
	}
}

func TestAnExportHasAllThatIsKnown(t *testing.T) {
	a, email := openAccounts(t, strict()), newEmail()
	u := a.full(email)
	e, err := a.Export(t.Context(), u.ID)
	a.must(err)
	if e.User.Email != email || e.User.Phone == "" || len(e.User.Addresses) != 1 || e.ExportedAt.IsZero() {
		t.Errorf("the user is %+v", e.User)
	}
	if len(e.Sessions) != 1 || e.Sessions[0].UserAgent != "Lynx" || len(e.Consents) != 1 || e.Consents[0].ClientID != "shop-app" {
		t.Errorf("sessions %+v, consents %+v", e.Sessions, e.Consents)
	}
	if len(e.KnownAddresses) != 1 || e.KnownAddresses[0].Address != "203.0.113.77" || len(e.Mails) != 4 {
		t.Errorf("addresses %+v, mails %+v", e.KnownAddresses, e.Mails)
	}
	// Whoever has little gets empty lists, not null.
	e, err = a.Export(t.Context(), a.user(newEmail()).ID)
	a.must(err)
	if e.Sessions == nil || e.Consents == nil || e.KnownAddresses == nil || e.User.Addresses == nil {
		t.Errorf("%+v", e)
	}
}
