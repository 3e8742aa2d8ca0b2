// Command pgsetup brings PostgreSQL to the state Souk's services start from: the role through which Vault makes
// credentials, and for every service a database and the stable role that owns what is in it. It can be run at any
// time, by any number at once: it makes what is missing and changes nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pgsetup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("pgsetup", flag.ContinueOnError)
	socketDir := flags.String("socket-dir", "", "directory of PostgreSQL's unix socket")
	port := flags.Int("port", 5432, "port in the socket's name")
	list := flags.String("services", "", "comma-separated services that get a database each")
	wait := flags.Duration("wait", 2*time.Minute, "how long PostgreSQL may take to answer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *socketDir == "" {
		return errors.New("-socket-dir is missing")
	}
	services, err := parseServices(*list)
	if err != nil {
		return err
	}

	server := server{socketDir: *socketDir, port: *port}
	conn, err := server.await(ctx, *wait)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := setUp(ctx, server, conn, services); err != nil {
		return err
	}
	fmt.Fprintf(out, "databases ready: %s\n", strings.Join(services, " "))
	return nil
}

// server is where PostgreSQL listens; its superuser needs no password there, being the operating system's own user.
type server struct {
	socketDir string
	port      int
}

func (s server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("port=%d user=postgres connect_timeout=5 application_name=pgsetup", s.port))
	if err != nil {
		return nil, err
	}
	config.Host, config.Database = s.socketDir, database
	return pgx.ConnectConfig(ctx, config)
}

// await connects as soon as PostgreSQL takes connections, which crash recovery may delay. It gives up after limit.
func (s server) await(ctx context.Context, limit time.Duration) (*pgx.Conn, error) {
	deadline := time.Now().Add(limit)
	for {
		conn, err := s.connect(ctx, "postgres")
		if err == nil {
			return conn, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("PostgreSQL did not answer within %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
