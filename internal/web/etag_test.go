package web

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

func etagServer(t *testing.T) *running {
	return start(t, Options{}, func(app *fiber.App) {
		app.Get("/7", func(c *fiber.Ctx) error {
			if NotModified(c, 7) {
				return nil
			}
			return c.SendString("seven")
		})
		app.Post("/7", func(c *fiber.Ctx) error {
			if NotModified(c, 7) {
				return errors.New("304 to a POST")
			}
			return c.SendString("posted")
		})
		app.Patch("/one", func(c *fiber.Ctx) error {
			v, err := IfMatch(c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(v))
		})
		app.Patch("/set", func(c *fiber.Ctx) error {
			m, err := IfMatchSet(c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(m.Allows(7), m.Any()))
		})
	})
}

func TestIfMatch(t *testing.T) {
	r := etagServer(t)
	for _, c := range []struct {
		headers  []string
		one, set string // the answer, or the problem's code
	}{
		{nil, "if-match-required", "if-match-required"},
		{[]string{`If-Match: "7"`}, "7", "true false"},
		{[]string{`If-Match: "8"`}, "8", "false false"},
		{[]string{`If-Match: *`}, "-1", "true true"},
		{[]string{`If-Match: "7", "7"`}, "7", "true false"},
		{[]string{`If-Match: "6", "7"`}, "bad-if-match", "true false"},
		{[]string{`If-Match: "6"`, `If-Match: "7"`}, "bad-if-match", "true false"},
		{[]string{`If-Match: , "7" ,`}, "7", "true false"},
		{[]string{`If-Match: W/"7"`}, "stale-version", "false false"},
		{[]string{`If-Match: W/"7", "8"`}, "8", "false false"},
		{[]string{`If-Match: "abc"`}, "stale-version", "false false"},
		{[]string{`If-Match: "07"`}, "stale-version", "false false"},
		{[]string{`If-Match: "+7"`}, "stale-version", "false false"},
		{[]string{`If-Match: "-7"`}, "stale-version", "false false"},
		{[]string{`If-Match: "99999999999999999999"`}, "stale-version", "false false"},
		{[]string{`If-Match: ""`}, "stale-version", "false false"},
		{[]string{`If-Match: "a,b"`}, "stale-version", "false false"},
		{[]string{`If-Match: 7`}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: `}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: "7`}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: '7'`}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: w/"7"`}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: "7" "8"`}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: "7", *`}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: *, "7"`}, "bad-if-match", "bad-if-match"},
		{[]string{`If-Match: "a b"`}, "bad-if-match", "bad-if-match"},
	} {
		statuses := map[string]int{"if-match-required": 428, "bad-if-match": 400, "stale-version": 412}
		for path, want := range map[string]string{"/one": c.one, "/set": c.set} {
			a := r.do("PATCH", path, nil, c.headers...)
			if status := statuses[want]; status != 0 {
				wantProblem(t, a, status, want)
			} else if string(a.body) != want {
				t.Errorf("%s %v: %d %s, want %s", path, c.headers, a.StatusCode, a.body, want)
			}
		}
	}
}

func TestIfNoneMatch(t *testing.T) {
	r := etagServer(t)
	for _, header := range []string{`"7"`, `W/"7"`, `"6", "7"`, `*`} {
		for _, method := range []string{"GET", "HEAD"} {
			a := r.do(method, "/7", nil, "If-None-Match: "+header)
			if a.StatusCode != 304 || len(a.body) != 0 || a.Header.Get("ETag") != `"7"` {
				t.Errorf("%s %s: %d %q, ETag %s", method, header, a.StatusCode, a.body, a.Header.Get("ETag"))
			}
		}
		if a := r.do("POST", "/7", nil, "If-None-Match: "+header); a.StatusCode != 200 {
			t.Errorf("POST %s: %d %s", header, a.StatusCode, a.body)
		}
	}
	for _, header := range []string{`"8"`, `7`, `"7`, ``, `"abc"`} {
		if a := r.do("GET", "/7", nil, "If-None-Match: "+header); a.StatusCode != 200 || string(a.body) != "seven" {
			t.Errorf("%s: %d %q", header, a.StatusCode, a.body)
		}
	}
}

func TestAStaleVersionIsAPreconditionFailure(t *testing.T) {
	if err := StaleVersion(); err.Kind != errs.PreconditionFailed || err.Code != "stale-version" {
		t.Error(err)
	}
}

func FuzzEntityTags(f *testing.F) {
	for _, seed := range []string{`"7"`, `W/"7", "8"`, `*`, `"`, `W/`, `,,"a",`, `"7""8"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, ok := parseTags(text)
		if ok != (len(tags) > 0) {
			t.Errorf("%q: %v, %v", text, tags, ok)
		}
		for _, tag := range tags {
			if v, ok := tag.version(); ok && (v < 0 || fmt.Sprint(v) != tag.opaque) {
				t.Errorf("%q is version %d", tag.opaque, v)
			}
		}
	})
}
