package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// line logs with f and returns the one line as it would be read.
func line(t testing.TB, f func(*slog.Logger)) map[string]any {
	t.Helper()
	var b bytes.Buffer
	f(New(&b, "catalog", "1.2.3", "alloc-1", "test", slog.LevelDebug))
	text, ok := strings.CutSuffix(b.String(), "\n")
	m := map[string]any{}
	if err := json.Unmarshal([]byte(text), &m); err != nil || !ok || strings.Contains(text, "\n") {
		t.Fatalf("not one line of JSON: %q, %v", b.String(), err)
	}
	return m
}

func TestALineIsInTheElasticCommonSchema(t *testing.T) {
	m := line(t, func(l *slog.Logger) {
		l.Warn("hello", "url.path", "/x", "http.response.status_code", 200, "event.duration", 3*time.Second, Err(io.EOF).Key, Err(io.EOF).Value)
	})
	for key, want := range map[string]any{
		"log.level": "warn", "message": "hello", "ecs.version": ecsVersion, "service.name": "catalog", "service.version": "1.2.3",
		"service.node.name": "alloc-1", "service.environment": "test", "url.path": "/x", "http.response.status_code": 200.0,
		"event.duration": 3e9, "error.message": "EOF",
	} {
		if m[key] != want {
			t.Errorf("%s: %v, want %v", key, m[key], want)
		}
	}
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(m["@timestamp"]))
	if err != nil || time.Since(at) > time.Minute || !strings.HasSuffix(fmt.Sprint(m["@timestamp"]), "Z") {
		t.Errorf("@timestamp %v, %v", m["@timestamp"], err)
	}
	if len(m) != 12 {
		t.Errorf("%d members: %v", len(m), m)
	}
}

func TestTheContextsTraceAndAttributesAreInTheLine(t *testing.T) {
	tr := NewTrace()
	ctx := With(With(WithTrace(context.Background(), tr), slog.String("http.request.id", "r-1")), slog.String("order.id", "o-1"))
	sibling := With(ctx, slog.String("order.id", "o-2"))
	m := line(t, func(l *slog.Logger) {
		l.WithGroup("kafka").With("topic", "orders").InfoContext(ctx, "sent", "partition", 3)
	})
	for key, want := range map[string]any{
		"trace.id": tr.TraceID(), "span.id": tr.SpanID(), "http.request.id": "r-1", "order.id": "o-1", "kafka.topic": "orders", "kafka.partition": 3.0,
	} {
		if m[key] != want {
			t.Errorf("%s: %v, want %v", key, m[key], want)
		}
	}
	if m := line(t, func(l *slog.Logger) { l.InfoContext(sibling, "x") }); m["order.id"] != "o-2" {
		t.Errorf("a sibling's attributes: %v", m)
	}
	var none context.Context
	line(t, func(l *slog.Logger) { l.InfoContext(none, "x") })
}

func TestTheLevelChangesWhileItRuns(t *testing.T) {
	var b bytes.Buffer
	var level Level
	l := New(&b, "s", "v", "i", "e", &level)
	l.Debug("hidden")
	if level.Set(slog.LevelDebug); b.Len() != 0 {
		t.Error("debug at level info")
	}
	if l.Debug("shown"); b.Len() == 0 {
		t.Error("no debug at level debug")
	}
	for text, want := range map[string]slog.Level{"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "Warn": slog.LevelWarn, "error": slog.LevelError} {
		if got, err := ParseLevel(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("loud is a level")
	}
}

const (
	jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
	pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"
)

func TestSecretKeysAreMasked(t *testing.T) {
	for _, key := range []string{
		"password", "db.password", "DB_PASSWORD", "client_secret", "ClientSecret", "vault.token", "access-token", "http.request.headers.authorization",
		"Authorization", "Cookie", "set-cookie", "api_key", "apiKey", "API-KEY", "jwt", "creds", "credentials", "private_key", "cvc", "card_number", "pan", "totp_otp",
	} {
		if m := line(t, func(l *slog.Logger) { l.Info("x", key, "s3cret") }); m[key] != hidden {
			t.Errorf("%s: %v", key, m[key])
		}
		if m := line(t, func(l *slog.Logger) { l.With(key, "s3cret").WithGroup("g").Info("x") }); m[key] != hidden {
			t.Errorf("With %s: %v", key, m[key])
		}
		if m := line(t, func(l *slog.Logger) { l.Info("x", slog.Group("g", key, "s3cret")) }); strings.Contains(fmt.Sprint(m), "s3cret") {
			t.Errorf("group %s: %v", key, m)
		}
	}
	m := line(t, func(l *slog.Logger) {
		l.Info("x", "token_ttl", time.Second, "tokens", 3, "cvv", 123, "author", "me", "keyboard", "qwerty", "passenger", "me")
	})
	for key, want := range map[string]any{"token_ttl": 1e9, "tokens": 3.0, "cvv": hidden, "author": "me", "keyboard": "qwerty", "passenger": "me"} {
		if m[key] != want {
			t.Errorf("%s: %v, want %v", key, m[key], want)
		}
	}
}

// leaky holds secrets in the ways that Go code does.
type leaky struct {
	User     string            `json:"user"`
	Password string            `json:"password"`
	Headers  http.Header       `json:"headers"`
	Nested   []map[string]any  `json:"nested"`
	DSN      string            `json:"dsn"`
	Labels   map[string]string `json:"labels"`
}

type secretive struct{}

func (secretive) LogValue() slog.Value { return slog.StringValue("token " + jwt) }

type stringer struct{}

func (stringer) String() string { return "postgres://app:s3cret@db" }

func TestSecretsInsideValuesAreMasked(t *testing.T) {
	v := leaky{
		User: "u", Password: "s3cret", Headers: http.Header{"Authorization": {"Bearer s3cret"}}, DSN: "postgres://app:s3cret@db/x",
		Nested: []map[string]any{{"deep": map[string]any{"api_key": "s3cret", "list": []any{jwt}}}}, Labels: map[string]string{"token": "s3cret"},
	}
	for name, value := range map[string]any{
		"struct": v, "pointer": &v, "slice": []leaky{v}, "error": fmt.Errorf("x: %w", errors.New("dial "+v.DSN)), "bytes": []byte("password=s3cret"),
		"valuer": secretive{}, "stringer": stringer{}, "jwt": jwt, "channel": make(chan int), "func": func() {}, "map": map[int]string{1: pem},
	} {
		m := line(t, func(l *slog.Logger) { l.Info("x", "value", value) })
		if text := fmt.Sprint(m); strings.Contains(text, "s3cret") || strings.Contains(text, jwt) || strings.Contains(text, "MHcCAQEE") || m["value"] == nil {
			t.Errorf("%s: %v", name, m["value"])
		}
	}
	if m := line(t, func(l *slog.Logger) { l.Info("login with password=s3cret and " + jwt) }); m["message"] != "login with password=*** and ***" {
		t.Errorf("%v", m["message"])
	}
}

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		jwt:                                           hidden,
		"sub " + jwt + " end":                         "sub *** end",
		"hvs.CAESIJabcdefghij":                        hidden,
		"token hvb.AAAAAQJabcdefghij!":                "token ***!",
		"postgres://app:p4ss@db:5432/x":               "postgres://app:***@db:5432/x",
		"mongodb://u:p@ss@h1,h2/x?a=b":                "mongodb://u:***@h1,h2/x?a=b",
		"redis://:p4ss@h":                             "redis://:***@h",
		"http://host:8080/users/a@b":                  "http://host:8080/users/a@b",
		"https://example.com/a?x=1":                   "https://example.com/a?x=1",
		"Authorization: Bearer abcdefgh12":            "Authorization: Bearer ***",
		"basic dXNlcjpwYXNz":                          "basic ***",
		"a basic understanding":                       "a basic understanding",
		"/reset?token=abc&x=1":                        "/reset?token=***&x=1",
		`{"password":"abc","a":1}`:                    `{"password":"***","a":1}`,
		`{"client_secret" : "abc"}`:                   `{"client_secret" : "***"}`,
		"host=db password=abc user=u":                 "host=db password=*** user=u",
		"key " + pem:                                  "key ***",
		"-----BEGIN PRIVATE KEY-----\nMHcCAQEE":       hidden,
		"invalid token: signature does not match":     "invalid token: signature does not match",
		"Mozilla/5.0 (X11; Linux) AppleWebKit/537.36": "Mozilla/5.0 (X11; Linux) AppleWebKit/537.36",
		"/v1/products/01a2092e-9fb5":                  "/v1/products/01a2092e-9fb5",
		"":                                            "",
	} {
		if got := Mask(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := Mask(strings.Repeat("ä", maxValue)); len(got) > maxValue+40 || !strings.HasSuffix(got, "bytes)") || strings.ContainsRune(got, '\ufffd') {
		t.Errorf("a huge value has %d bytes, ends %q", len(got), got[len(got)-20:])
	}
}

func TestHostileTextStaysOneLine(t *testing.T) {
	m := line(t, func(l *slog.Logger) { l.Info("a\n{\"log.level\":\"error\"}\r\x00\x1b[31m\u2028\xff", "k\n", "v\n") })
	if m["k\n"] != "v\n" || m["log.level"] != "info" {
		t.Errorf("%v", m)
	}
}

func FuzzMask(f *testing.F) {
	for _, seed := range []string{jwt, "a://b:c@d", "password=x", pem, "bearer aaaaaaaaa", "hvs.aaaaaaaaaaa", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := Mask(text)
		if strings.Contains(Mask(once+" "+jwt), jwt) {
			t.Errorf("%q hides a JWT from the mask", text)
		}
		m := line(t, func(l *slog.Logger) { l.Info(text, "k", text, "password", text) })
		if m["password"] != hidden {
			t.Errorf("%v", m)
		}
	})
}

func BenchmarkAccessLine(b *testing.B) {
	l := New(io.Discard, "catalog", "1.2.3", "alloc-1", "test", slog.LevelInfo)
	for b.Loop() {
		l.LogAttrs(context.Background(), slog.LevelInfo, "request",
			slog.String("event.category", "web"), slog.String("event.outcome", "success"), slog.Int64("event.duration", 12345),
			slog.String("http.request.method", "GET"), slog.String("http.request.id", "01a2092e-9fb5-7940-b62f-5c479eeba52f"),
			slog.Int("http.request.body.bytes", 0), slog.Int("http.response.status_code", 200), slog.String("http.route", "/v1/products/:id"),
			slog.String("url.path", "/v1/products/01a2092e-9fb5-7940-b62f-5c479eeba52f"), slog.String("client.ip", "10.1.2.3"),
			slog.String("trace.id", "4bf92f3577b34da6a3ce929d0e0e4736"), slog.String("span.id", "00f067aa0ba902b7"),
			slog.Int("http.response.body.bytes", 500), slog.String("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"))
	}
}
