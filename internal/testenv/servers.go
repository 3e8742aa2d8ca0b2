package testenv

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// started is what Start found or brought up; one a test program.
var started struct {
	once sync.Once
	env  *Env
	err  error
}

// Start gives the test instance with its servers running, and skips the test with
// -short. The servers are shared by the tests of all packages and stay up for the
// next run; `make test` stops them at its end, as does
// `SOUK_HOME=.souk-test bin/souk down --clean`.
func Start(t testing.TB) *Env {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the servers; -short leaves it out")
	}
	started.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
		defer cancel()
		if started.env, started.err = Open(ctx); started.err == nil {
			_, started.err = started.env.Souk(ctx, "up", "--servers")
		}
	})
	if started.err != nil {
		t.Fatalf("the test instance: %v", started.err)
	}
	return started.env
}

func (e *Env) loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// MongoURI is the address of the MongoDB-wire server, as a connection string.
func (e *Env) MongoURI() string {
	return "mongodb://" + e.loopback(e.Ports.Mongo) + "/?retryWrites=false"
}

// KafkaBroker is host:port of Kafka.
func (e *Env) KafkaBroker() string { return e.loopback(e.Ports.Kafka) }

// PostgresAddr is host:port of PostgreSQL.
func (e *Env) PostgresAddr() string { return e.loopback(e.Ports.Postgres) }

// GatewayURL is where clients reach the shop, if the instance runs it.
func (e *Env) GatewayURL() string { return "http://" + e.loopback(e.Ports.Gateway) }
