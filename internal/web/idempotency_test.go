package web

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

func TestIdempotencyKeys(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		show := func(key string, print []byte, err error, c *fiber.Ctx) error {
			if err != nil {
				return err
			}
			Replayed(c)
			return c.SendString(key + " " + hex.EncodeToString(print))
		}
		app.Post("/may/*", func(c *fiber.Ctx) error {
			key, print, err := IdempotencyKey(c)
			return show(key, print, err, c)
		})
		app.Put("/may/*", func(c *fiber.Ctx) error {
			key, print, err := IdempotencyKey(c)
			return show(key, print, err, c)
		})
		app.Post("/must", func(c *fiber.Ctx) error {
			key, print, err := RequireIdempotencyKey(c)
			return show(key, print, err, c)
		})
	})
	post := func(path, key, body string) string {
		return string(r.do("POST", path, strings.NewReader(body), "Idempotency-Key: "+key).body)
	}
	same := post("/may/a", "k-1", "body")
	if !strings.HasPrefix(same, "k-1 ") || len(same) != len("k-1 ")+64 || post("/may/a", `"k-1"`, "body") != same {
		t.Errorf("%q, quoted %q", same, post("/may/a", `"k-1"`, "body"))
	}
	for name, other := range map[string]string{
		"body": post("/may/a", "k-1", "bodY"), "path": post("/may/b", "k-1", "body"), "query": post("/may/a?x=1", "k-1", "body"),
		"border": post("/may/ab", "k-1", "ody"), "method": string(r.do("PUT", "/may/a", strings.NewReader("body"), "Idempotency-Key: k-1").body),
	} {
		if other == same {
			t.Errorf("another %s, the same fingerprint", name)
		}
	}
	if a := r.do("POST", "/may/a", nil); string(a.body) != " " || a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("without a key: %d %q", a.StatusCode, a.body)
	}
	wantProblem(t, r.do("POST", "/must", nil), 400, "idempotency-key-required")
	for _, good := range []string{"x", strings.Repeat("x", 255), `"` + strings.Repeat("x", 255) + `"`, "8e03978e-40d5-43dd-bc93-6894a57f9324", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"} {
		if a := r.do("POST", "/must", nil, "Idempotency-Key: "+good); a.StatusCode != 200 {
			t.Errorf("%q: %d %s", good, a.StatusCode, a.body)
		}
	}
	for _, bad := range []string{"", `""`, `"`, `"a`, `a"b`, `a\b`, "a b", "ä", "a\tb", strings.Repeat("x", 256), `"a";b=c`} {
		a := r.raw("POST /must HTTP/1.1\nHost: x\nContent-Length: 0\nIdempotency-Key: " + bad + "\n\n")
		wantProblem(t, a, 400, "bad-idempotency-key")
	}
	wantProblem(t, r.do("POST", "/must", nil, "Idempotency-Key: a", "Idempotency-Key: a"), 400, "bad-idempotency-key")
}
