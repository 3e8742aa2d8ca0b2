package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	osexec "os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"
)

// tab is a headless Chromium with nothing in it, and what its console said.
type tab struct {
	ctx context.Context
	t   *testing.T

	mu      sync.Mutex
	console []string
}

func (h *harness) chromium(t *testing.T) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := osexec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("needs a browser: neither chromium nor google-chrome is on PATH")
	}
	t.Run("login, consent and back to the client", func(t *testing.T) { h.theWholeWay(t, open(t, path)) })
	t.Run("a wrong password", func(t *testing.T) { h.aWrongPassword(t, open(t, path)) })
	t.Run("consent denied", func(t *testing.T) { h.consentDenied(t, open(t, path)) })
	t.Run("the back button and a form sent twice", func(t *testing.T) { h.backAndTwice(t, open(t, path)) })
	t.Run("links in mails", func(t *testing.T) { h.linksInMails(t, open(t, path)) })
}

func open(t *testing.T, path string) *tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(420, 800),
		chromedp.Flag("disable-features", "Translate,BackForwardCache")) // going back asks us, not the browser's memory
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{ctx: ctx, t: t}
	must(t, chromedp.Do(ctx)) // starts it
	messages := chromedp.Console(ctx)
	go func() { // until ctx ends
		for m, err := range messages {
			// Hints, and that a status was 4xx, are no faults.
			if err == nil && m.Type != chromedp.ConsoleDebug && !strings.Contains(m.Text, "Failed to load resource") {
				b.mu.Lock()
				b.console = append(b.console, m.Text)
				b.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, line := range b.console {
			t.Errorf("the console says: %s", line) // such as what Content-Security-Policy forbids
		}
	})
	return b
}

func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for i, step := range steps {
		ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
		err := chromedp.Do(ctx, step)
		cancel()
		if err != nil {
			at, _ := chromedp.Run(b.ctx, chromedp.Location())
			text, _ := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
			b.t.Fatalf("step %d: %v at %s\n%s", i, err, at, text)
		}
	}
}

// text is what is shown of an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
	must(b.t, err)
	return text
}

// eval is the value of an expression as text: the test's own look, the pages have no script.
func (b *tab) eval(expression string) string {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	must(b.t, err)
	return value
}

// native is a client on a loopback port of its own.
type native struct {
	uri      string
	answered chan url.Values
}

func startNative(t *testing.T) native {
	t.Helper()
	l := listen(t)
	n := native{uri: fmt.Sprintf("http://%s/callback", l.Addr()), answered: make(chan url.Values, 10)}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!DOCTYPE html><link rel="icon" href="data:,"><p id="done">You can close this page`)
		if r.URL.Path == "/callback" {
			if r.Method != http.MethodGet || r.Header.Get("Referer") != "" {
				t.Errorf("the client gets %s with the referrer %q", r.Method, r.Header.Get("Referer"))
			}
			n.answered <- r.URL.Query()
		}
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return n
}

func (b *tab) login(email, password string) {
	b.t.Helper()
	b.run(chromedp.WaitVisible(chromedp.CSS("#password")), chromedp.SetValue(chromedp.CSS("#email"), email),
		chromedp.SendKeys(chromedp.CSS("#password"), password+"\r"))
}

func (h *harness) theWholeWay(t *testing.T, b *tab) {
	u, client, verifier := h.user(t), startNative(t), oauth2.GenerateVerifier()
	config := h.config("third", client.uri, "orders")
	address := config.AuthCodeURL("state-of-the-app", oauth2.S256ChallengeOption(verifier))
	b.run(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#email")))
	for expression, want := range map[string]string{
		`document.documentElement.lang`: "en", `document.activeElement.id`: "email",
		`document.querySelector('label[for=email]').textContent`:    "E-mail address",
		`document.querySelector('#email').autocomplete`:             "username",
		`document.querySelector('#password').autocomplete`:          "current-password",
		`getComputedStyle(document.querySelector('main')).maxWidth`: "416px",                    // the style counts
		`document.scripts.length`:                                   "0", `document.cookie`: "", // HttpOnly
		`document.documentElement.scrollWidth <= innerWidth`: "true",
	} {
		if got := b.eval(expression); got != want {
			t.Errorf("%s is %q", expression, got)
		}
	}
	b.login(u.Email, password)
	b.run(chromedp.WaitVisible(chromedp.CSS("button[value=allow]")))
	if text := b.text("main"); !strings.Contains(text, "Third <b>Party</b>") || !strings.Contains(text, permission("orders")) {
		t.Errorf("consent: %s", text)
	}
	b.run(chromedp.Click(chromedp.CSS("button[value=allow]")), chromedp.WaitVisible(chromedp.CSS("#done")))
	q := <-client.answered
	if q.Get("state") != "state-of-the-app" || q.Get("iss") != h.url || q.Get("code") == "" {
		t.Errorf("the client got %v", q)
	}
	if token, err := config.Exchange(t.Context(), q.Get("code"), oauth2.VerifierOption(verifier)); err != nil || token.RefreshToken == "" {
		t.Error(err)
	}
	// The second time nothing is asked.
	b.run(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#done")))
	if q := <-client.answered; q.Get("code") == "" {
		t.Errorf("the client got %v", q)
	}
}

func (h *harness) aWrongPassword(t *testing.T, b *tab) {
	u, client := h.user(t), startNative(t)
	b.run(chromedp.Navigate(h.request("redirect_uri", client.uri)))
	b.login(u.Email, "wrong")
	b.run(chromedp.WaitVisible(chromedp.CSS("[role=alert]")))
	for expression, want := range map[string]string{
		`document.querySelector('#email').value`: u.Email, `document.querySelector('#password').value`: "", `document.activeElement.id`: "password",
		`document.querySelector('#password').getAttribute('aria-describedby')`: "error",
	} {
		if got := b.eval(expression); got != want {
			t.Errorf("%s is %q", expression, got)
		}
	}
	b.login(u.Email, password)
	b.run(chromedp.WaitVisible(chromedp.CSS("#done")))
	if q := <-client.answered; q.Get("code") == "" {
		t.Errorf("the client got %v", q)
	}
}

func (h *harness) consentDenied(t *testing.T, b *tab) {
	u, client := h.user(t), startNative(t)
	b.run(chromedp.Navigate(h.request("client_id", "third", "redirect_uri", client.uri)))
	b.login(u.Email, password)
	b.run(chromedp.WaitVisible(chromedp.CSS("button[value=deny]")), chromedp.Click(chromedp.CSS("button[value=deny]")), chromedp.WaitVisible(chromedp.CSS("#done")))
	if q := <-client.answered; q.Get("error") != "access_denied" || q.Get("iss") != h.url || q.Has("code") {
		t.Errorf("the client got %v", q)
	}
}

func (h *harness) backAndTwice(t *testing.T, b *tab) {
	u, client := h.user(t), startNative(t)
	b.run(chromedp.Navigate(h.request("client_id", "third", "redirect_uri", client.uri)))
	b.login(u.Email, password)
	b.run(chromedp.WaitVisible(chromedp.CSS("button[value=allow]")))
	// Back to the login page: it is asked for again, and the user is logged in.
	b.run(chromedp.NavigateBack(), chromedp.WaitVisible(chromedp.CSS("button[value=allow]")))
	// A double click.
	b.run(chromedp.DoubleClick(chromedp.CSS("button[value=allow]")), chromedp.WaitVisible(chromedp.CSS("#done")))
	if q := <-client.answered; q.Get("code") == "" {
		t.Errorf("the client got %v", q)
	}
	// Back from the client: nothing is asked again, and there is a new code.
	b.run(chromedp.NavigateBack(), chromedp.WaitVisible(chromedp.CSS("#done")))
	if q := <-client.answered; q.Get("code") == "" {
		t.Errorf("after going back the client got %v", q)
	}
}

func (h *harness) linksInMails(t *testing.T, b *tab) {
	email := h.register(t)
	link := h.mailed(t, email)
	for range 2 { // opening it uses nothing up
		b.run(chromedp.Navigate(link), chromedp.WaitVisible(chromedp.CSS("button")))
	}
	b.run(chromedp.Click(chromedp.CSS("button")), chromedp.WaitVisible(chromedp.CSS("[role=status]")))
	// Once more is no harm; a link that never was one is told.
	b.run(chromedp.Navigate(link), chromedp.WaitVisible(chromedp.CSS("button")), chromedp.Click(chromedp.CSS("button")), chromedp.WaitVisible(chromedp.CSS("[role=status]")))
	b.run(chromedp.Navigate(link[:len(link)-1]+"_"), chromedp.WaitVisible(chromedp.CSS("button")), chromedp.Click(chromedp.CSS("button")), chromedp.WaitVisible(chromedp.CSS("[role=alert]")))
	if text := b.text("main"); !strings.Contains(text, "does not work any more") {
		t.Error(text)
	}
	u, err := h.accounts.FindByEmail(t.Context(), email)
	must(t, err)
	before := h.tokens(t, u)

	must(t, h.accounts.RequestReset(t.Context(), email))
	link = h.mailed(t, email)
	const better = "another lamp hums at noon 9"
	set := func(one, two string) {
		b.run(chromedp.WaitVisible(chromedp.CSS("#password")), chromedp.SendKeys(chromedp.CSS("#password"), one), chromedp.SendKeys(chromedp.CSS("#repeated"), two+"\r"))
	}
	b.run(chromedp.Navigate(link))
	set(better, better+"x")
	b.run(chromedp.WaitVisible(chromedp.CSS("[role=alert]")))
	if text := b.text("[role=alert]"); !strings.Contains(text, "not the same") {
		t.Error(text)
	}
	b.run(chromedp.Navigate(link)) // the link still works
	set("password12", "password12")
	b.run(chromedp.WaitVisible(chromedp.CSS("[role=alert]")))
	if text := b.text("[role=alert]"); strings.Contains(text, "not the same") || len(text) < 20 {
		t.Error(text)
	}
	set(better, better)
	b.run(chromedp.WaitVisible(chromedp.CSS("[role=status]")))
	if a := h.refresh(t, before.Refresh); a.Error != "invalid_grant" {
		t.Errorf("a session from before: %+v", a)
	}
	if _, err := h.accounts.LogIn(t.Context(), email, better, netipNone); err != nil {
		t.Error(err)
	}
}
