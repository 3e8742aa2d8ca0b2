package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseServicesKeepsOrderAndTrimsSpace(t *testing.T) {
	got, err := parseServices("orders, users,payments")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"orders", "users", "payments"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestParseServicesRefusesWhatCannotNameADatabase(t *testing.T) {
	for _, list := range []string{
		"", "orders,", "Orders", "1orders", "or-ders", `orders"; DROP ROLE x; --`, "postgres", "template1",
		"orders,orders", strings.Repeat("a", 58),
	} {
		if got, err := parseServices(list); err == nil {
			t.Errorf("%q was accepted as %q", list, got)
		}
	}
}

func TestLongestServiceNameLeavesRoomForItsOwnerRole(t *testing.T) {
	name := strings.Repeat("a", 57)
	if _, err := parseServices(name); err != nil {
		t.Fatal(err)
	}
	if got := len(ownerOf(name)); got != 63 {
		t.Fatalf("owner role has %d bytes, PostgreSQL keeps 63", got)
	}
}

func TestClusterStatementsCreateOnlyWhatIsMissing(t *testing.T) {
	for _, c := range []struct{ newRole, newDatabase bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		all := strings.Join(clusterStatements("orders", c.newRole, c.newDatabase), ";\n")
		if got := strings.Contains(all, `CREATE ROLE "orders_owner"`); got != c.newRole {
			t.Errorf("%+v: creates the role: %v", c, got)
		}
		if got := strings.Contains(all, `CREATE DATABASE "orders"`); got != c.newDatabase {
			t.Errorf("%+v: creates the database: %v", c, got)
		}
		if !strings.Contains(all, `REVOKE ALL ON DATABASE "orders" FROM PUBLIC`) {
			t.Errorf("%+v: leaves the database open to everyone", c)
		}
	}
}

func TestQuoteKeepsAReservedWordAName(t *testing.T) {
	if got := quote(ownerOf("user")); got != `"user_owner"` {
		t.Fatal(got)
	}
	if got := quote(`a"b`); got != `"a""b"` {
		t.Fatal(got)
	}
}
