package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func (c *chain) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("postgres://" + c.dbAddr + "/" + c.job + "?sslmode=disable&connect_timeout=5")
	if err != nil {
		return nil, err
	}
	config.User, config.Password = c.dbUser, c.dbPasswd
	return pgx.ConnectConfig(ctx, config)
}

// credentials finds PostgreSQL in Consul, logs in with credentials that Vault
// makes, and checks that what it creates belongs to the stable owner role.
func (c *chain) credentials(ctx context.Context) (map[string]any, error) {
	entries, _, err := c.consul.Health().Service("postgres", "", true, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, errors.New("no healthy postgres in Consul")
	}
	c.dbAddr = net.JoinHostPort(entries[0].Service.Address, strconv.Itoa(entries[0].Service.Port))
	creds, err := c.vault.Logical().ReadWithContext(ctx, "database/creds/"+c.job)
	if err != nil {
		return nil, err
	}
	c.dbUser, _ = creds.Data["username"].(string)
	c.dbPasswd, _ = creds.Data["password"].(string)
	c.dbExpires = time.Now().Add(time.Duration(creds.LeaseDuration) * time.Second)

	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var owner string
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `create table if not exists walks (at timestamptz not null default now())`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into walks default values`); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `select tableowner from pg_tables where tablename = 'walks'`).Scan(&owner)
	})
	if err != nil {
		return nil, err
	}
	if owner != c.job+"_owner" {
		return nil, fmt.Errorf("a new table belongs to %s, not to %s_owner", owner, c.job)
	}
	return map[string]any{"user": c.dbUser, "owner": owner, "lease_seconds": creds.LeaseDuration}, nil
}

// expiry waits for the end of the lease with a session open: the session must be
// ended, and the credentials must be worth nothing.
func (c *chain) expiry(ctx context.Context) (map[string]any, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if wait := time.Until(c.dbExpires); wait > 5*time.Minute {
		return nil, fmt.Errorf("the lease lasts another %s; the role of the probe should give short ones", wait)
	}
	// Vault revokes within seconds of the end.
	deadline := c.dbExpires.Add(30 * time.Second)
	for conn.Ping(ctx) == nil {
		if time.Now().After(deadline) {
			return nil, errors.New("the session outlives its lease by 30 s")
		}
		time.Sleep(500 * time.Millisecond)
	}
	ended := time.Since(c.dbExpires)
	again, err := c.connect(ctx)
	if err == nil {
		again.Close(ctx)
		return nil, errors.New("expired credentials still log in")
	}
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) || pg.Code != "28P01" { // invalid_password, also for a role that is gone
		return nil, fmt.Errorf("want the login refused, got %w", err)
	}
	return map[string]any{"session_ended_after_lease_seconds": ended.Seconds(), "login": pg.Code}, nil
}
