package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEveryMailIsWrittenOnceWhateverIsKilled kills notifications, users and Kafka while customers register.
func TestEveryMailIsWrittenOnceWhateverIsKilled(t *testing.T) {
	d := deployer(t)
	kill := func(namespace, job string) {
		// One that was killed a moment ago has to be there again.
		eventually(t, time.Minute, job+" is healthy", func(ctx context.Context) error { return d.Healthy(ctx, namespace, job) })
		if err := taskProcess(t, job).SendSignal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, job := range []string{"users", "notifications"} {
			eventually(t, time.Minute, job+" is healthy", func(ctx context.Context) error { return d.Healthy(ctx, "souk", job) })
		}
	}()
	var acknowledged []string
	for i := range 24 {
		switch i {
		case 4, 12:
			kill("souk", "notifications")
		case 8:
			kill("infra", "kafka")
		case 16:
			kill("souk", "users")
			eventually(t, time.Minute, "users is healthy", func(ctx context.Context) error { return d.Healthy(ctx, "souk", "users") })
		}
		email := fmt.Sprintf("mail-%s@example.com", strings.ToLower(rand.Text()[:12]))
		status, answer, err := fetch(http.DefaultClient, "POST", "/v1/users", map[string]string{"Authorization": ""},
			map[string]any{"email": email, "password": rand.Text(), "name": "Mel Mail"})
		if err == nil && status == http.StatusAccepted {
			acknowledged = append(acknowledged, email)
		} else {
			t.Logf("registration %d: %d %s %v", i, status, answer, err) // it was told so
		}
	}
	if len(acknowledged) < 15 {
		t.Fatalf("only %d registrations were taken", len(acknowledged))
	}
	missing := func() (missing []string) {
		for _, email := range acknowledged {
			if len(mailsTo(t, email)) == 0 {
				missing = append(missing, email)
			}
		}
		return missing
	}
	eventually(t, 90*time.Second, "the e-mails", func(context.Context) error {
		if m := missing(); len(m) > 0 {
			return fmt.Errorf("%d of %d have none", len(m), len(acknowledged))
		}
		return nil
	})
	time.Sleep(3 * time.Second)
	for _, email := range acknowledged {
		if n := len(mailsTo(t, email)); n != 1 {
			t.Errorf("%s has %d e-mails", email, n)
		}
	}
}
