package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/testenv"
)

// TestATokenIsRenewedAndAtItsEndReplaced: a role whose tokens last four seconds,
// can be renewed, and end for good after ten.
func TestATokenIsRenewedAndAtItsEndReplaced(t *testing.T) {
	env := testenv.Start(t)
	opts := optionsOf(t, env.Workload(t, "probe"), "probe")
	root := vaultRoot(t, env)
	opts.Role = "probe-test-short"
	path := "auth/jwt-nomad/role/" + opts.Role
	_, err := root.Logical().WriteWithContext(t.Context(), path, map[string]any{
		"role_type": "jwt", "user_claim": "nomad_job_id", "bound_audiences": "vault.io", "bound_claims": map[string]any{"nomad_job_id": "probe"},
		"token_type": "service", "token_policies": "probe", "token_ttl": "4s", "token_max_ttl": "10s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = root.Logical().Delete(path) })
	// As Nomad does before an identity expires: the file's content changes under the same name.
	jwt, err := os.ReadFile(opts.JWTFile)
	if err != nil {
		t.Fatal(err)
	}
	opts.JWTFile = filepath.Join(t.TempDir(), "nomad_vault.jwt")
	write := func(content []byte) {
		if err := os.WriteFile(opts.JWTFile, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(jwt)
	id, j := login(t, opts)
	first := id.Vault().Token()
	alive := func() {
		t.Helper()
		if _, err := id.Vault().Auth().Token().LookupSelfWithContext(t.Context()); err != nil {
			t.Fatalf("the token is dead: %v\n%s", err, j)
		}
	}
	time.Sleep(5 * time.Second)
	alive()
	if id.Vault().Token() != first {
		t.Error("replaced where renewing would do")
	}
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		alive()
	}
	if id.Vault().Token() == first {
		t.Error("not replaced, although it ended for good")
	}
	if n := id.token.failures.Load(); n != 0 {
		t.Errorf("%d attempts failed:\n%s", n, j)
	}

	write([]byte("run out"))
	eventually(t, 10*time.Second, "a login fails", func() error {
		if id.token.failures.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	write(jwt)
	eventually(t, 10*time.Second, "the rewritten identity is used", func() error {
		_, err := id.Vault().Auth().Token().LookupSelfWithContext(t.Context())
		return err
	})
}

// TestAVaultThatWasStoppedIsFoundAgain: unlike a sealed one it doesn't answer at all.
func TestAVaultThatWasStoppedIsFoundAgain(t *testing.T) {
	env := testenv.Start(t)
	id, j := login(t, optionsOf(t, env.Workload(t, "probe"), "probe"))
	cert := mustCertificate(t, id)
	creds, err := id.Database(within(t, 10*time.Second), "probe")
	if err != nil {
		t.Fatal(err)
	}
	lease, serial := creds.Current(), cert.Leaf().SerialNumber
	unlock, repaired := hold(t, env), false
	repair := func() {
		if repaired {
			return
		}
		repaired = true
		unlock()
		if _, err := env.Souk(t.Context(), "up", "--servers"); err != nil {
			t.Errorf("repair the test instance: %v", err)
		}
	}
	defer repair()
	if err := env.StopAgent(t.Context(), "vault"); err != nil {
		t.Fatal(err)
	}
	id.token.now()
	creds.Suspect(lease)
	cert.keeper.now()
	eventually(t, 10*time.Second, "everything notices", func() error {
		for _, k := range []*keeper{id.token.keeper, creds.keeper, cert.keeper} {
			if k.failures.Load() == 0 {
				return fmt.Errorf("%s has not", k.kind)
			}
		}
		return nil
	})
	if err := id.Ready(); err != nil {
		t.Errorf("not ready although everything held is good: %v", err)
	}
	if !strings.Contains(j.String(), "connection refused") {
		t.Errorf("the log does not say why:\n%s", j)
	}
	repair()
	eventually(t, 15*time.Second, "lease and certificate are renewed", func() error {
		if creds.Current().ID == lease.ID || cert.Leaf().SerialNumber.Cmp(serial) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
}

func mustCertificate(t *testing.T, id *Identity) *Certificate {
	t.Helper()
	cert, err := id.Certificate(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestMetricsTellWhatRunsOutWhen(t *testing.T) {
	env := testenv.Start(t)
	id, _ := login(t, optionsOf(t, env.Workload(t, "probe"), "probe"))
	mustCertificate(t, id)
	for range 2 {
		if _, err := id.Database(within(t, 10*time.Second), "probe"); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(id.Metrics())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "souk_identity_expires_seconds" {
				left[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	for name, limit := range map[string]float64{"token probe": 1800, "lease probe": 20, "lease probe#2": 20, "certificate probe": 86400, "trust pki": 360} {
		if left[name] < limit*0.6 || left[name] > limit {
			t.Errorf("%s: %v s left, want up to %v", name, left[name], limit)
		}
	}
}

func TestALeaseNeverShowsItsPassword(t *testing.T) {
	l := Lease{ID: "database/creds/probe/x", Username: "v-probe", password: "s3cr3t"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "lease", l, "pointer", &l)
	encoded, err := json.Marshal(map[string]any{"lease": l})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{log.String(), string(encoded), fmt.Sprint(l), fmt.Sprintf("%v %+v %#v %s %q", l, l, l, l, l),
		fmt.Sprintf("%v %+v %#v", &l, &l, &l), fmt.Sprintf("%+v", struct{ L Lease }{l})} {
		if strings.Contains(text, l.password) {
			t.Errorf("shows it: %s", text)
		}
	}
	if l.Password() != "s3cr3t" {
		t.Error("whoever asks for it must get it")
	}
}
