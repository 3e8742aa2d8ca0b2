package app

import (
	"fmt"
	"slices"
	"strings"

	"souk/internal/errs"
)

// Roles of users.
const (
	Customer     = "customer"
	Support      = "support"
	Merchandiser = "merchandiser"
	Admin        = "admin"
)

// scopesOf says what each role allows.
func scopesOf(role string) []string {
	customer := []string{"account", "orders"}
	switch role {
	case Customer:
		return customer
	case Support:
		return append(customer, "users:read", "orders:read")
	case Merchandiser:
		return append(customer, "catalog:write", "inventory:read", "inventory:write")
	case Admin:
		return slices.Concat(scopesOf(Support), scopesOf(Merchandiser), []string{"users:write", "users:roles", "orders:write", "payments:write"})
	}
	return nil
}

// ScopesOf gives what a user of these roles may do: sorted, each once. An unknown role allows nothing.
func ScopesOf(roles []string) []string {
	var scopes []string
	for _, role := range roles {
		scopes = append(scopes, scopesOf(role)...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// checkRoles gives the roles sorted, each once, or errs.Unprocessable. Everybody has at least one.
func checkRoles(roles []string) ([]string, error) {
	known := []string{Customer, Support, Merchandiser, Admin}
	var wrong []errs.Field
	for i, role := range roles[:min(len(roles), len(known)+1)] {
		if !slices.Contains(known, role) {
			wrong = append(wrong, errs.Field{Pointer: fmt.Sprintf("/roles/%d", i), Detail: "must be one of " + strings.Join(known, ", ")})
		}
	}
	if len(roles) == 0 || len(roles) > len(known) {
		wrong = append(wrong, errs.Field{Pointer: "/roles", Detail: fmt.Sprintf("must have 1 to %d items", len(known))})
	}
	if wrong != nil {
		return nil, errs.New(errs.Unprocessable, "invalid-roles", "the roles break a rule").With(wrong...)
	}
	roles = slices.Clone(roles)
	slices.Sort(roles)
	return slices.Compact(roles), nil
}
