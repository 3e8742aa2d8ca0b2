package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
)

func TestStringsAndDecodedBodiesSurviveTheRequest(t *testing.T) {
	type body struct {
		Text string         `json:"text"`
		Any  map[string]any `json:"any"`
	}
	type kept struct {
		want, id, query, header, path, method, param string
		body                                         body
	}
	var (
		mu  sync.Mutex
		all []kept
	)
	r := start(t, Options{}, func(app *fiber.App) {
		app.Post("/v1/:id", func(c *fiber.Ctx) error {
			q := Query(c)
			param, _ := Param(c, "id")
			k := kept{want: strings.Clone(c.Params("id")), id: c.Params("id"), query: q.String("q", ""), header: c.Get("X-Own"), path: c.Path(), method: c.Method(), param: param}
			if err := JSON(c, &k.body); err != nil {
				return err
			}
			mu.Lock()
			all = append(all, k)
			mu.Unlock()
			return q.Err()
		})
	})
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			client := r.client()
			for i := range 50 {
				id := fmt.Sprintf("id-%d-%d", w, i)
				req, _ := http.NewRequest("POST", r.url("/v1/"+id+"?q="+id), strings.NewReader(`{"text":"`+id+`","any":{"`+id+`":["`+id+`"]}}`))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Own", id)
				resp, err := client.Do(req)
				if err != nil || resp.StatusCode != 200 {
					t.Error(err, resp)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	workers.Wait()
	if len(all) != 200 {
		t.Fatalf("%d requests", len(all))
	}
	for _, k := range all {
		if k.id != k.want || k.query != k.want || k.header != k.want || k.path != "/v1/"+k.want || k.method != "POST" || k.param != k.want ||
			k.body.Text != k.want || fmt.Sprint(k.body.Any) != fmt.Sprintf("map[%s:[%s]]", k.want, k.want) {
			t.Fatalf("changed after the request: %+v", k)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString(RequestID(c)) })
	})
	for _, sane := range []string{"abc", "01a2092e-9fb5-7940-b62f-5c479eeba52f", "Root=1-67891233-abcdef012345678912345678", strings.Repeat("a", 128)} {
		if a := r.do("GET", "/", nil, "X-Request-Id: "+sane); string(a.body) != sane || a.Header.Get("X-Request-Id") != sane {
			t.Errorf("%q became %q, %q", sane, a.body, a.Header.Get("X-Request-Id"))
		}
	}
	for _, bad := range []string{"", "a b", `a"b`, "a{b", "<script>", "ä", strings.Repeat("a", 129), "a\tb", "${jndi:ldap://x}"} {
		a := r.raw("GET / HTTP/1.1\nHost: x\nX-Request-Id: " + bad + "\n\n")
		if got := string(a.body); got == bad || len(got) != 36 || got[14] != '7' {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestTracesAreContinued(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString(Trace(c).Traceparent() + " " + Trace(c).State) })
	})
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	a := r.do("GET", "/", nil, "Traceparent: 00-"+id+"-"+span+"-01", "Tracestate: a=1,b=2")
	if got := string(a.body); !strings.HasPrefix(got, "00-"+id+"-") || strings.Contains(got, span) || !strings.HasSuffix(got, "-01 a=1,b=2") {
		t.Errorf("continued as %q", got)
	}
	for _, headers := range [][]string{
		{"Traceparent: 00-" + id + "-" + span},
		{"Traceparent: 00-" + id + "-" + span + "-01", "Traceparent: 00-" + id + "-" + span + "-01"},
		{"Traceparent: ff-" + id + "-" + span + "-01"},
	} {
		if a := r.do("GET", "/", nil, headers...); strings.Contains(string(a.body), id) || len(a.body) != 56 {
			t.Errorf("%q: %q, want a new trace", headers, a.body)
		}
	}
}

func TestForwardedHeadersCountOnlyIfTrusted(t *testing.T) {
	routes := func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error {
			return c.SendString(ClientIP(c).String() + " " + Scheme(c) + " " + c.IP() + " " + c.Protocol() + " " + c.Hostname())
		})
	}
	headers := []string{
		"X-Forwarded-For: 6.6.6.6, 2001:db8::7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Real-Ip: 6.6.6.6",
	}
	edge := start(t, Options{}, routes)
	if a := edge.do("GET", "/", nil, headers...); string(a.body) != "127.0.0.1 http 127.0.0.1 http "+edge.addr {
		t.Errorf("at the edge: %s", a.body)
	}
	inner := start(t, Options{TrustForwarded: true}, routes)
	if a := inner.do("GET", "/", nil, headers...); !strings.HasPrefix(string(a.body), "2001:db8::7 https ") {
		t.Errorf("behind the gateway: %s", a.body)
	}
	for _, bad := range []string{"", "6.6.6.6, unknown", "fe80::1%eth0", "6.6.6.6:80", strings.Repeat("1,", 1000)} {
		if a := inner.do("GET", "/", nil, "X-Forwarded-For: "+bad); !strings.HasPrefix(string(a.body), "127.0.0.1 ") {
			t.Errorf("%.40q: %s", bad, a.body)
		}
	}
}
