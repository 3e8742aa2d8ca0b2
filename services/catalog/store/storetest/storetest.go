// Package storetest gives tests a catalogue's store of their own on real servers: the
// development server always, and MongoDB itself where there is one.
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/internal/testenv"
	"souk/services/catalog/store"
)

// On runs a test against the development server and, where SOUK_TEST_MONGO_URL names
// one or mongod is on PATH, against MongoDB.
func On(t *testing.T, test func(t *testing.T, s *store.Store, uri, database string)) {
	t.Run("development-server", func(t *testing.T) {
		uri := testenv.Start(t).MongoURI()
		s, database := open(t, uri)
		test(t, s, uri, database)
	})
	t.Run("mongodb", func(t *testing.T) {
		uri := mongoDB(t)
		s, database := open(t, uri)
		test(t, s, uri, database)
	})
}

// Open is a store on the development server with a database of its own, which goes
// with the test.
func Open(t testing.TB) *store.Store {
	t.Helper()
	s, _ := open(t, testenv.Start(t).MongoURI())
	return s
}

// OnMongoDB is Open on a real MongoDB, and skips the test where there is none.
func OnMongoDB(t testing.TB) *store.Store {
	t.Helper()
	s, _ := open(t, mongoDB(t))
	return s
}

func open(t testing.TB, uri string) (*store.Store, string) {
	t.Helper()
	database := "test_" + rand.Text()
	s := Again(t, uri, database)
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drop(t, uri, database) })
	return s, database
}

// Again is another instance's store on the same database.
func Again(t testing.TB, uri, database string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URI: uri, Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

func drop(t testing.TB, uri, database string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(uri))
	if err == nil {
		err = client.Database(database).Drop(ctx)
		_ = client.Disconnect(ctx)
	}
	if err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
}

// mongoDB is the address of a real one, started for the test if it is on PATH. It skips
// the test where there is none: no package registry has it.
func mongoDB(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs MongoDB; -short leaves it out")
	}
	if uri := os.Getenv("SOUK_TEST_MONGO_URL"); uri != "" {
		return uri
	}
	program, err := exec.LookPath("mongod")
	if err != nil {
		t.Skip("no MongoDB here: neither SOUK_TEST_MONGO_URL nor mongod on PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	mongod := exec.Command(program, "--bind_ip", "127.0.0.1", "--port", fmt.Sprint(port), "--dbpath", t.TempDir(), "--quiet")
	if err := mongod.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = mongod.Process.Signal(os.Interrupt)
		_ = mongod.Wait()
	})
	return fmt.Sprintf("mongodb://127.0.0.1:%d/?serverSelectionTimeoutMS=20000", port)
}
