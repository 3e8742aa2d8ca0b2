package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// serviceName leaves room for "_owner" within PostgreSQL's 63 bytes.
var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,56}$`)

// reserved are the databases that PostgreSQL itself keeps.
var reserved = []string{"postgres", "template0", "template1"}

// parseServices splits a comma-separated list and refuses an empty one, a name twice, and any name that could not
// stand for a database and its owner unquoted.
func parseServices(list string) ([]string, error) {
	var services []string
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); {
		case !serviceName.MatchString(name), slices.Contains(reserved, name):
			return nil, fmt.Errorf("%q can't name a service's database (want a-z, 0-9 and _, starting with a letter)", name)
		case slices.Contains(services, name):
			return nil, fmt.Errorf("service %s is listed twice", name)
		}
		services = append(services, name)
	}
	return services, nil
}

// ownerOf names the role that owns everything in the service's database and never logs in itself.
func ownerOf(service string) string { return service + "_owner" }

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// clusterStatements make the owner role and the database, unless they stand, and say who may connect.
func clusterStatements(service string, newRole, newDatabase bool) []string {
	owner, database := quote(ownerOf(service)), quote(service)
	var statements []string
	if newRole {
		statements = append(statements, "CREATE ROLE "+owner+" NOLOGIN")
	}
	statements = append(statements,
		// ADMIN lets vault_admin alter the owner role as well: whatever it may have done is taken back here
		"ALTER ROLE "+owner+" NOLOGIN PASSWORD NULL",
		// Vault may put a role of its making into the owner role, but neither inherits its rights nor becomes it
		"GRANT "+owner+" TO vault_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
	if newDatabase {
		statements = append(statements, "CREATE DATABASE "+database+" OWNER "+owner)
	}
	return append(statements,
		"ALTER DATABASE "+database+" OWNER TO "+owner,
		"REVOKE ALL ON DATABASE "+database+" FROM PUBLIC",
		"GRANT CONNECT, TEMPORARY ON DATABASE "+database+" TO "+owner)
}

// schemaStatements run inside the service's database.
func schemaStatements(service string) []string {
	owner := quote(ownerOf(service))
	return []string{
		"ALTER SCHEMA public OWNER TO " + owner,
		"REVOKE ALL ON SCHEMA public FROM PUBLIC",
		"GRANT ALL ON SCHEMA public TO " + owner,
	}
}
