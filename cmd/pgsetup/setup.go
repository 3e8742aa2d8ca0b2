package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// setupLock is the advisory lock under which one pgsetup works at a time: "souk" in ASCII.
const setupLock = 0x736f756b

// admin is the statements for the role Vault logs in as. It may make roles and hand out the owner roles, never act
// as one of them, and may end the sessions of a role it is about to drop.
var admin = []string{
	`DO $$ BEGIN
	   IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vault_admin') THEN CREATE ROLE vault_admin; END IF;
	 END $$`,
	`ALTER ROLE vault_admin WITH LOGIN CREATEROLE NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD NULL`,
	`GRANT pg_signal_backend TO vault_admin`,
	`REVOKE ALL ON DATABASE postgres FROM PUBLIC`,
	`REVOKE ALL ON DATABASE template1 FROM PUBLIC`,
	`GRANT CONNECT ON DATABASE postgres TO vault_admin`,
	// its statements carry the passwords it sets, which must not reach the log when one fails or is slow
	`ALTER ROLE vault_admin SET log_min_error_statement = 'panic'`,
	`ALTER ROLE vault_admin SET log_min_duration_statement = -1`,
	`ALTER ROLE vault_admin SET log_statement = 'none'`,
}

// setUp needs conn to be a superuser's, in a database other than the services'.
func setUp(ctx context.Context, server server, conn *pgx.Conn, services []string) error {
	// held until the session ends: CREATE DATABASE allows no transaction round it
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, setupLock); err != nil {
		return fmt.Errorf("wait for another pgsetup: %w", err)
	}
	if err := execAll(ctx, conn, admin); err != nil {
		return fmt.Errorf("role vault_admin: %w", err)
	}
	for _, service := range services {
		if err := setUpService(ctx, server, conn, service); err != nil {
			return fmt.Errorf("database %s: %w", service, err)
		}
	}
	return nil
}

func setUpService(ctx context.Context, server server, conn *pgx.Conn, service string) error {
	var role, database bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
		EXISTS (SELECT FROM pg_database WHERE datname = $2)`, ownerOf(service), service).Scan(&role, &database)
	if err != nil {
		return err
	}
	if err := execAll(ctx, conn, clusterStatements(service, !role, !database)); err != nil {
		return err
	}

	inside, err := server.connect(ctx, service)
	if err != nil {
		return err
	}
	defer inside.Close(context.WithoutCancel(ctx))
	return execAll(ctx, inside, schemaStatements(service))
}

func execAll(ctx context.Context, conn *pgx.Conn, statements []string) error {
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
