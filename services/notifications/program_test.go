package main

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	consulapi "github.com/hashicorp/consul/api"

	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail/mailtest"
)

// program runs all of it as Nomad does, on the real topics. No SMTP server is set, so mails become files.
func program(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	p.secrets.Setenv(t)
	admin := freeAddress(t)
	t.Setenv("NOMAD_ADDR_admin", admin)
	t.Setenv("SOUK_MAIL_DIR", b.dir)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with: %v", err)
		}
	})
	b.eventually("it is ready, though there is no users", func() bool {
		if len(ended) > 0 {
			t.Fatal(<-ended)
		}
		status, _ := get(admin, "/readyz")
		return status == http.StatusOK
	})

	user := uuid.New()
	event := b.asked(user, app.VerifyEmail)
	event.Topic = events.UsersTopic
	b.publish(event)
	b.eventually("it waits for users", func() bool { return b.row(event).Reason == "users-away" })
	if status, why := get(admin, "/readyz"); status != http.StatusOK {
		t.Errorf("not ready: %s", why)
	}

	consul, err := p.env.Consul()
	if err != nil {
		t.Fatal(err)
	}
	host, port := split(t, b.users.address)
	instance := "users-of-a-test-" + uuid.NewString()
	if err := consul.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{ID: instance, Name: "users", Address: host, Port: port}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := consul.Agent().ServiceDeregister(instance); err != nil {
			t.Error(err)
		}
	})
	b.ends(event, app.Sent)
	raw, err := os.ReadFile(filepath.Join(b.dir, b.files()[0]))
	if err != nil || !strings.Contains(string(raw), addressOf(user)) {
		t.Errorf("%v\n%s", err, raw)
	}
	_, metrics := get(admin, "/metrics")
	for _, want := range []string{`souk_mails_finished_total{kind="verify_email",status="sent"} 1`, "souk_mails_queued ", "souk_mails_oldest_seconds ", `souk_mails_retried_total{cause="wait",kind="verify_email"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func get(admin, path string) (status int, body string) {
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get("http://" + admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(raw)
}

func split(t *testing.T, address string) (host string, port int) {
	t.Helper()
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Addr().String(), int(a.Port())
}
