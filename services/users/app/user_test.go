package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/internal/errs"
)

func TestRolesAllowWhatTheContractSays(t *testing.T) {
	for _, c := range []struct {
		roles []string
		want  string
	}{
		{nil, ""},
		{[]string{"root"}, ""},
		{[]string{Customer}, "account orders"},
		{[]string{Support}, "account orders orders:read users:read"},
		{[]string{Merchandiser, Customer}, "account catalog:write inventory:read inventory:write orders"},
		{[]string{Admin}, "account catalog:write inventory:read inventory:write orders orders:read orders:write payments:write users:read users:roles users:write"},
	} {
		if got := strings.Join(ScopesOf(c.roles), " "); got != c.want {
			t.Errorf("%v: %q, want %q", c.roles, got, c.want)
		}
	}
}

func TestRolesAreKnownAndSortedAndThereIsOne(t *testing.T) {
	if got, err := checkRoles([]string{Support, Customer, Support}); err != nil || !slices.Equal(got, []string{Customer, Support}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, roles := range [][]string{nil, {}, {"Admin"}, {Customer, ""}, make([]string, 10_000)} {
		if _, err := checkRoles(roles); errs.KindOf(err) != errs.Unprocessable {
			t.Errorf("%d roles: %v", len(roles), err)
		}
	}
}

func someUser() User {
	return User{Version: 2, Email: "jane@mail.example", Name: "Jane Doe", Locale: "en", Roles: []string{Customer}, Addresses: []Address{}}
}

func TestAnEditIsOneVersionOrNone(t *testing.T) {
	u, now := someUser(), time.Date(2026, 3, 1, 12, 0, 0, 987_654_321, time.UTC)
	name, locale := "Zoë von der Straße", "de-AT"
	if err := u.Edit(Patch{Name: &name, Locale: &locale}, now); err != nil || u.Version != 3 || u.Name != name || u.Locale != locale || u.UpdatedAt.Nanosecond() != 987_000_000 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := u.Edit(Patch{Name: &name}, now.Add(time.Hour)); err != nil || u.Version != 3 || u.UpdatedAt.Hour() != 12 {
		t.Errorf("what it has already: %+v, %v", u, err)
	}
	bad := ""
	before := fmt.Sprint(u)
	if err := u.Edit(Patch{Name: &bad, Phone: &locale}, now); errs.KindOf(err) != errs.Unprocessable || fmt.Sprint(u) != before {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestEveryFaultOfAProfileIsNamed(t *testing.T) {
	good := Address{Name: "Jane Doe", Line1: "1 Mill Lane", City: "Bath", Country: "GB"}
	with := func(change func(*Address)) Patch {
		a := good
		change(&a)
		return Patch{Addresses: &[]Address{good, a}}
	}
	name := func(s string) Patch { return Patch{Name: &s} }
	phone := func(s string) Patch { return Patch{Phone: &s} }
	locale := func(s string) Patch { return Patch{Locale: &s} }
	many := slices.Repeat([]Address{good}, MaxAddresses+1)
	for _, c := range []struct {
		patch Patch
		at    string // "" if there is no fault
	}{
		{with(func(*Address) {}), ""}, {phone("+4915112345678"), ""}, {phone(""), ""}, {locale("zh-Hant-TW"), ""},
		{name("علی\u200cرضا"), ""}, {name("J. R. R. Tolkien"), ""}, {name(strings.Repeat("ö", MaxName)), ""}, {name("O'Neill-Łukasz Jr."), ""},
		{name(""), "/name"}, {name(" Jane"), "/name"}, {name("Jane\nBcc: all@mail.example"), "/name"}, {name("\u202eenaJ"), "/name"}, {name("a\x00"), "/name"},
		{name("\xff"), "/name"}, {name(strings.Repeat("ö", MaxName+1)), "/name"}, {name("Win at https://evil.example"), "/name"}, {name("WWW.evil.example"), "/name"}, {name("go to evil.example/win"), "/name"},
		{phone("0151 12345678"), "/phone"}, {phone("+0123456789"), "/phone"}, {phone("+" + strings.Repeat("1", 16)), "/phone"},
		{locale(""), "/locale"}, {locale("english, please"), "/locale"}, {locale(strings.Repeat("a", 1000)), "/locale"},
		{Patch{Addresses: &many}, "/addresses"},
		{with(func(a *Address) { a.Line1 = "" }), "/addresses/1/line1"}, {with(func(a *Address) { a.City = strings.Repeat("x", 101) }), "/addresses/1/city"},
		{with(func(a *Address) { a.Country = "Germany" }), "/addresses/1/country"}, {with(func(a *Address) { a.PostalCode = "\u2028" }), "/addresses/1/postal_code"},
	} {
		u := someUser()
		err := u.Edit(c.patch, time.Now())
		got := ""
		if e := (*errs.Error)(nil); errors.As(err, &e) && len(e.Fields) == 1 {
			got = e.Fields[0].Pointer
		}
		if got != c.at || (err == nil) != (c.at == "") {
			t.Errorf("%+v: %v, want a fault at %q", c.patch, err, c.at)
		}
	}
}
