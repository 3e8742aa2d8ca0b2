package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	kafka "souk/internal/events"
	"souk/internal/postgres"
	"souk/services/notifications/app"
)

// row is what the log has of a mail.
type row struct {
	Status           app.Status
	Reason           string
	Attempts, Doubts int
	User             *uuid.UUID
	Order            *string
}

func idOf(m kafka.Message) uuid.UUID { return app.MailID(m.Event.Source(), m.Event.ID()) }

func (b *bench) row(m kafka.Message) (r row) {
	b.Helper()
	err := postgres.Read(b.Context(), b.pool, func(q postgres.Querier) error {
		r = row{}
		rows, err := q.Query(b.Context(), "SELECT status, reason, attempts, doubts, user_id, order_data::text FROM mails WHERE id = $1", idOf(m))
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if len(all) > 0 {
			r = all[0]
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *bench) eventually(what string, holds func() bool) {
	b.Helper()
	for end := time.Now().Add(40 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("never: %s", what)
		}
	}
}

// ends waits for the mail to have that status.
func (b *bench) ends(m kafka.Message, status app.Status) row {
	b.Helper()
	b.eventually(string(status), func() bool { return b.row(m).Status == status })
	return b.row(m)
}

// leaseEnds makes claims lapse now, as they do in time.
func (b *bench) leaseEnds() {
	exec(b.T, b.pool, "UPDATE mails SET due_at = now() WHERE status = 'queued'")
}

// metric sums up a metric's series that have the label values.
func (in instance) metric(t testing.TB, name string, values ...string) (sum float64) {
	t.Helper()
	families, err := in.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			has := " "
			for _, l := range series.GetLabel() {
				has += l.GetValue() + " "
			}
			matches := family.GetName() == name
			for _, v := range values {
				matches = matches && strings.Contains(has, " "+v+" ")
			}
			if matches {
				sum += series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// logged keeps what was logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
