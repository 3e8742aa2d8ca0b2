package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"
)

// servicesWithDatabase are those for which Vault makes users.
func servicesWithDatabase(ctx context.Context) ([]string, error) {
	a, err := newApp(os.Stdout)
	if err != nil {
		return nil, err
	}
	vault, err := a.hashistack().Vault()
	if err != nil {
		return nil, err
	}
	secret, err := vault.Logical().ListWithContext(ctx, "database/roles")
	if err != nil {
		return nil, fmt.Errorf("ask Vault which services have a database: %w", err)
	}
	var names []string
	if secret != nil {
		keys, _ := secret.Data["keys"].([]any)
		for _, k := range keys {
			names = append(names, fmt.Sprint(k))
		}
	}
	slices.Sort(names)
	return names, nil
}

// withDatabase runs f on a service's database.
func withDatabase(ctx context.Context, service string, f func(*pgx.Conn) error) error {
	a, err := newApp(os.Stdout)
	if err != nil {
		return err
	}
	vault, err := a.hashistack().Vault()
	if err != nil {
		return err
	}
	secret, err := vault.Logical().ReadWithContext(ctx, "database/creds/"+service)
	if err != nil {
		return fmt.Errorf("ask Vault for a database user: %w", err)
	}
	if secret == nil {
		return fmt.Errorf("%s has no database", service)
	}
	defer revoke(context.WithoutCancel(ctx), vault, secret.LeaseID)
	config, err := pgx.ParseConfig("host=unknown sslmode=disable")
	if err != nil {
		return err
	}
	config.Host, config.Port, config.Database, config.Fallbacks = "127.0.0.1", uint16(a.Ports.Postgres), service, nil //nolint:gosec // a port
	config.User, _ = secret.Data["username"].(string)
	config.Password, _ = secret.Data["password"].(string)
	config.ConnectTimeout = 5 * time.Second
	db, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	return f(db)
}

// revoke ends the user; without that it would end with its lease.
func revoke(ctx context.Context, vault *vaultapi.Client, lease string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = vault.Sys().RevokeWithContext(ctx, lease)
}
