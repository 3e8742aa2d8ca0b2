package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/identity"
	"souk/internal/postgres"
	"souk/internal/testenv"
)

// place is where all scenarios take place: the real servers, and the identity of the job, which only one test at a time
// can have.
type place struct {
	env     *testenv.Env
	self    *identity.Identity
	cert    *identity.Certificate // of notifications
	users   *tls.Config           // of users, as a server
	secrets testenv.Workload
}

func TestTheService(t *testing.T) {
	p := &place{env: testenv.Start(t)}
	p.secrets = p.env.Workload(t, name)
	p.self = login(t, p.env, name, p.secrets)
	p.cert = certificate(t, p.self)
	p.users = serverOf(t, p.env, "users")
	for what, scenario := range map[string]func(*testing.T, *place){
		"an event that comes five times to two instances is one mail":               oneMail,
		"two instances send each mail of a long queue once":                         shared,
		"each kind of mail has what its event and users say":                        kinds,
		"a mail whose record was lost goes out again under the same Message-ID":     lostRecord,
		"a file whose record was lost is there once":                                lostRecordOfFile,
		"mails wait for users, however it is away":                                  usersAway,
		"what users has no use for is dropped":                                      gone,
		"only users is asked":                                                       impostor,
		"what a server refuses for now is tried again, for good is failed":          refusals,
		"a connection that is cut before the reply leaves a doubt and a repetition": cut,
		"a server that is down is left in peace and then gets everything":           serverDown,
		"a password that was changed in Vault is read again":                        newPassword,
		"what can't be sent for too long is given up":                               givenUp,
		"erasing a user drops what is queued and deletes files":                     erasure,
		"a mail under way when its user is erased leaves no file":                   erasedUnderWay,
		"a poison event is parked and holds up nobody else":                         poison,
		"what is stopped in the middle is soon done by another":                     stopped,
		"orders by the thousand cost little":                                        cost,
		"the program runs, with users away too":                                     program,
	} {
		t.Run(what, func(t *testing.T) { scenario(t, p) })
	}
}

func login(t *testing.T, env *testenv.Env, service string, w testenv.Workload) *identity.Identity {
	t.Helper()
	id, err := identity.Login(limited(t), identity.Options{
		Service: service, VaultAddr: env.VaultAddr(), JWTFile: filepath.Join(w.Secrets, "nomad_vault.jwt"),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return id
}

func certificate(t *testing.T, id *identity.Identity) *identity.Certificate {
	t.Helper()
	c, err := id.Certificate(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// useOwnSchema makes a schema and has every later connection of this process work in it.
func (p *place) useOwnSchema(t *testing.T) *postgres.Pool {
	t.Helper()
	open := func() *postgres.Pool {
		credentials, err := p.self.Database(limited(t), name)
		if err != nil {
			t.Fatal(err)
		}
		pool, err := postgres.Open(limited(t), credentials, p.env.PostgresAddr, name, postgres.Options{MaxConns: 16})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := pool.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return pool
	}
	admin := open()
	schema := pgx.Identifier{"test_" + uuid.NewString()}.Sanitize()
	exec(t, admin, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { exec(t, admin, "DROP SCHEMA "+schema+" CASCADE") })
	t.Setenv("PGOPTIONS", "-c search_path="+schema)
	return open()
}

func exec(t *testing.T, pool *postgres.Pool, sql string) {
	t.Helper()
	err := postgres.Tx(context.Background(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), sql)
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}
