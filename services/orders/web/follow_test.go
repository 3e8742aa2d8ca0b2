package web_test

import (
	"context"
	"time"
)

// stream follows an order, and gives the ids and names of events as they come.
func (a *api) stream(ctx context.Context, token, path, seen string) <-chan string {
	a.t.Helper()
	request := a.request(call{method: "GET", path: path + "/events", token: token, accept: "text/event-stream", seen: seen}).WithContext(ctx)
	response, err := a.callers[""].Do(request) //nolint:bodyclose // the goroutine below closes it
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		a.t.Fatalf("%+v, %v", response, err)
	}
	lines := make(chan string, 100)
	go func() {
		defer response.Body.Close()
		defer close(lines)
		readEvents(response.Body, func(id, name string) { lines <- id + " " + name })
	}()
	return lines
}

func (a *api) next(lines <-chan string) string {
	a.t.Helper()
	select {
	case line, open := <-lines:
		if !open {
			return "end"
		}
		return line
	case <-time.After(10 * time.Second):
		a.t.Fatal("nothing comes")
		return ""
	}
}

func (a *api) expect(lines <-chan string, want ...string) {
	a.t.Helper()
	for _, w := range want {
		if got := a.next(lines); got != w {
			a.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func (a *api) follow() {
	token := a.customer()
	o := a.place(token)
	path := o.Header.Get("Location")
	one, two := a.stream(a.t.Context(), token, path, ""), a.stream(a.t.Context(), token, path, "")
	a.expect(one, "1 placed")
	facts := confirming()
	a.happen(o.ID, facts[0])
	a.expect(one, "2 stock_reserved")
	a.happen(o.ID, facts[1:]...)
	rest := []string{"3 payment_authorised", "4 confirmed", "5 stock_committed", "6 payment_captured", "end"}
	a.expect(one, rest...)
	a.expect(two, append([]string{"1 placed", "2 stock_reserved"}, rest...)...)
}

func (a *api) resume() {
	token := a.customer()
	o := a.place(token)
	path := o.Header.Get("Location")
	ctx, leave := context.WithCancel(a.t.Context())
	first := a.stream(ctx, token, path, "")
	a.expect(first, "1 placed")
	leave()
	facts := confirming()
	a.happen(o.ID, facts[:2]...)
	again := a.stream(a.t.Context(), token, path, "1")
	a.expect(again, "2 stock_reserved", "3 payment_authorised", "4 confirmed")
	a.happen(o.ID, facts[2:]...)
	a.expect(again, "5 stock_committed", "6 payment_captured", "end")
	a.expect(a.stream(a.t.Context(), token, path, "5"), "6 payment_captured", "end")
	for _, nonsense := range []string{"x", "-1", "99999999999999999999", "1; DROP"} {
		a.expect(a.stream(a.t.Context(), token, path, nonsense), "1 placed")
	}
	for _, all := range []string{"6", "7"} {
		a.want(204, call{method: "GET", path: path + "/events", token: token, accept: "text/event-stream", seen: all})
	}
}

// slow has a client that takes nothing: another one of the same order must get everything meanwhile.
func (a *api) slow() {
	token := a.customer()
	o := a.place(token)
	path := o.Header.Get("Location")
	request := a.request(call{method: "GET", path: path + "/events", token: token, accept: "text/event-stream"})
	lazy, err := a.callers[""].Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer lazy.Body.Close()
	lines := a.stream(a.t.Context(), token, path, "")
	a.expect(lines, "1 placed")
	a.happen(o.ID, confirming()...)
	a.expect(lines, "2 stock_reserved", "3 payment_authorised", "4 confirmed", "5 stock_committed", "6 payment_captured", "end")
	got := 0
	readEvents(lazy.Body, func(string, string) { got++ })
	if got != 6 {
		a.t.Errorf("the slow one got %d events", got)
	}
}
