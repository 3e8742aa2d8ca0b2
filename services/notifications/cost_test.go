package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	kafka "souk/internal/events"
	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail/mailtest"
)

// cost says what the mail of an order takes of this process, in which the events, users and the test run too. A busy shop
// has as many of them as orders.
func cost(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.settings.Host = ""
	const n, buyers = 1000, 200
	var users []uuid.UUID
	for range buyers {
		users = append(users, uuid.New())
	}
	var all []kafka.Message
	for i := range n {
		all = append(all, b.ordered(users[i%buyers], events.OrderConfirmed))
	}
	b.publish(all...)
	before, began := cpu(t), time.Now()
	in := b.start(nil)
	b.eventually("all are out", func() bool { return in.metric(t, "souk_mails_finished_total", string(app.OrderConfirmed), "sent") == n })
	t.Logf("%s of CPU and %s a mail", (cpu(t)-before)/n, time.Since(began)/n)
	if files := b.files(); len(files) != n {
		t.Errorf("there are %d files", len(files))
	}
	b.users.set(func() {
		if b.users.calls > n/10 {
			t.Errorf("users was asked %d times", b.users.calls)
		}
	})
}

// cpu of this process so far.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
