package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/services/users/app"
)

func TestAChangeOfRolesRefusesOlderTokensAndTellsOthers(t *testing.T) {
	a := openAccounts(t, strict())
	admin, u := a.admin(), a.user(newEmail())
	session := a.session(u)
	began := time.Now()
	changed, err := a.SetRoles(t.Context(), admin.ID, u.ID, nil, []string{app.Support, app.Customer, app.Support})
	a.must(err)
	if !slices.Equal(changed.Roles, []string{app.Customer, app.Support}) || changed.Version != u.Version+1 {
		t.Errorf("%+v", changed)
	}
	from := changed.TokensValidFrom
	if from.Before(began) || from.After(time.Now().Add(time.Second)) || from.Nanosecond() != 0 {
		t.Errorf("tokens are good from %s, changed after %s", from, began)
	}
	var before time.Time
	a.must(a.db.pool.QueryRow(t.Context(), "SELECT before FROM revocations WHERE kind = 'subject' AND id = $1", u.ID.String()).Scan(&before))
	if !before.Equal(from) {
		t.Errorf("the revocation is of tokens before %s, want %s", before, from)
	}
	if sessions, err := a.db.Sessions(t.Context(), u.ID); err != nil || len(sessions) != 1 || sessions[0].ID != session {
		t.Errorf("the session goes on with other scopes: %v, %v", sessions, err)
	}
	events := a.events(u.ID)
	if want := `souk.users.user.roles_changed.v1 3 {"user_id":"` + u.ID.String() + `","roles":["customer","support"]}`; events[len(events)-1] != want {
		t.Errorf("events %v", events)
	}
	// The same roles are no change.
	again, err := a.SetRoles(t.Context(), admin.ID, u.ID, nil, []string{app.Support, app.Customer})
	if err != nil || again.Version != changed.Version || len(a.events(u.ID)) != len(events) {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestRolesAreRefusedThatBreakARule(t *testing.T) {
	a := openAccounts(t, strict())
	admin, u := a.admin(), a.user(newEmail())
	before := len(a.events(u.ID))
	stale := func(version int64) error {
		if version != 1 {
			return app.ErrStale
		}
		return nil
	}
	for _, c := range []struct {
		actor uuid.UUID
		match func(int64) error
		roles []string
		code  string
	}{
		{admin.ID, nil, nil, "invalid-roles"}, {admin.ID, nil, []string{"root"}, "invalid-roles"}, {admin.ID, nil, make([]string, 1000), "invalid-roles"},
		{admin.ID, stale, []string{app.Admin}, "stale-version"}, {u.ID, nil, []string{app.Admin}, "role-lost"}, {uuid.New(), nil, []string{app.Admin}, "role-lost"},
	} {
		if _, err := a.SetRoles(t.Context(), c.actor, u.ID, c.match, c.roles); codeOf(err) != c.code {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := a.SetRoles(t.Context(), admin.ID, uuid.New(), nil, []string{app.Admin}); !errors.Is(err, app.ErrUserNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if n := len(a.events(u.ID)); n != before {
		t.Errorf("%d events of what did not happen", n-before)
	}
}

func TestTheLastAdminStaysAlsoWhenTwoRemoveOneAnother(t *testing.T) {
	a := openAccounts(t, strict())
	for range 5 {
		one, two := a.admin(), a.admin()
		a.exec("UPDATE users SET roles = '{customer}' WHERE id <> $1 AND id <> $2 AND erased_at IS NULL", one.ID, two.ID)
		got := atOnce(4, codeOf, func(i int) error {
			var err error
			switch i {
			case 0:
				_, err = a.SetRoles(t.Context(), one.ID, two.ID, nil, []string{app.Customer})
			case 1:
				_, err = a.SetRoles(t.Context(), two.ID, one.ID, nil, []string{app.Customer})
			case 2:
				err = a.Erase(t.Context(), one.ID)
			case 3:
				err = a.Erase(t.Context(), two.ID)
			}
			return err
		})
		if n := a.count("SELECT count(*) FROM users WHERE 'admin' = ANY (roles)"); n != 1 {
			t.Errorf("%d admins are left: %v", n, got)
		}
	}
	var last uuid.UUID
	a.must(a.db.pool.QueryRow(t.Context(), "SELECT id FROM users WHERE 'admin' = ANY (roles)").Scan(&last))
	if _, err := a.SetRoles(t.Context(), last, last, nil, []string{app.Customer}); !errors.Is(err, app.ErrLastAdmin) {
		t.Errorf("the last one resigns: %v", err)
	}
	if err := a.Erase(t.Context(), last); !errors.Is(err, app.ErrLastAdmin) {
		t.Errorf("the last one is erased: %v", err)
	}
}

func TestAProfileIsChangedInTheVersionThatWasRead(t *testing.T) {
	a := openAccounts(t, strict())
	u := a.user(newEmail())
	only := func(version int64) func(int64) error {
		return func(v int64) error {
			if v != version {
				return app.ErrStale
			}
			return nil
		}
	}
	phone := "+4915112345678"
	home := []app.Address{{Label: "home", Name: "Jane Doe", Line1: "1 Mill Lane", City: "Bath", PostalCode: "BA1 1AA", Country: "GB"}}
	got := atOnce(10, codeOf, func(int) error {
		_, err := a.Update(t.Context(), u.ID, only(u.Version), app.Patch{Phone: &phone, Addresses: &home})
		return err
	})
	if !is(got, "map[:1 stale-version:9]") {
		t.Errorf("ten changes of one version: %v", got)
	}
	changed, err := a.User(t.Context(), u.ID)
	if err != nil || changed.Version != u.Version+1 || changed.Phone != phone || !slices.Equal(changed.Addresses, home) || changed.Name != u.Name {
		t.Errorf("%+v, %v", changed, err)
	}
	if same, err := a.Update(t.Context(), u.ID, nil, app.Patch{Phone: &phone}); err != nil || same.Version != changed.Version {
		t.Errorf("no change: %+v, %v", same, err)
	}
	bad, long := "call me", strings.Repeat("x", 200)
	if _, err := a.Update(t.Context(), u.ID, nil, app.Patch{Phone: &bad, Name: &long}); errs.KindOf(err) != errs.Unprocessable {
		t.Errorf("a bad profile: %v", err)
	}
}
