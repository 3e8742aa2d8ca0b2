// Package mongotest gives tests a database of their own on real servers: the development
// server always, and MongoDB itself where there is one.
package mongotest

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
)

// Each runs a test on the development server and, where SOUK_TEST_MONGO_URL names one or
// mongod is on PATH, on MongoDB.
func Each(t *testing.T, test func(t *testing.T, uri, database string)) {
	t.Run("development-server", func(t *testing.T) {
		uri, database := Database(t)
		test(t, uri, database)
	})
	t.Run("mongodb", func(t *testing.T) {
		uri, database := MongoDB(t)
		test(t, uri, database)
	})
}

// Database is a new one on the development server, which goes with the test.
func Database(t testing.TB) (uri, database string) {
	t.Helper()
	uri = testenv.Start(t).MongoURI()
	return uri, fresh(t, uri)
}

// MongoDB is Database on a real one, started for the test if it is on PATH. It skips the
// test where there is none: no package registry has it.
func MongoDB(t testing.TB) (uri, database string) {
	t.Helper()
	uri = mongoDB(t)
	return uri, fresh(t, uri)
}

func fresh(t testing.TB, uri string) (database string) {
	database = "test_" + rand.Text()
	t.Cleanup(func() { drop(t, uri, database) })
	return database
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
