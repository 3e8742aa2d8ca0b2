package mail

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"

	"souk/internal/money"
	"souk/services/notifications/app"
)

func sender() netmail.Address {
	return netmail.Address{Name: "Souk", Address: "no-reply@souk.example"}
}

// message is a mail as its reader sees it.
type message struct {
	header  netmail.Header
	subject string
	to      *netmail.Address
	text    string
	html    string
}

func compile(t *testing.T, m app.Mail, c app.Content) message {
	t.Helper()
	raw, err := compose(sender(), m, c)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, raw)
}

func parse(t *testing.T, raw []byte) (out message) {
	t.Helper()
	for line := range bytes.Lines(raw) {
		if len(line) > 998+2 || bytes.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.Fatalf("a line is too long or not ASCII: %.100q", line)
		}
	}
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("no message: %v\n%s", err, raw)
	}
	out.header = msg.Header
	if out.subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	to, err := msg.Header.AddressList("To")
	if err != nil || len(to) != 1 {
		t.Fatalf("To: %v %v", to, err)
	}
	out.to = to[0]
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s %v", kind, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, into := range []*string{&out.text, &out.html} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		*into = string(body)
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("there is a third part: %v", err)
	}
	return out
}

const link = "https://shop.example/account/verify?token=smv_x-Y_z"

func accountMail(kind app.Kind) (app.Mail, app.Content) {
	m := app.Mail{ID: app.MailID("/users", "1"), Kind: kind, Subject: uuid.New(), RequestedAt: time.Now()}
	c := app.Content{To: "ada@example.com", Name: "Ada Lovelace", Locale: "en"}
	if kind.HasLink() {
		c.Link, c.ExpiresAt = link, time.Date(2026, 11, 24, 9, 5, 0, 0, time.UTC)
	}
	return m, c
}

func orderMail(kind app.Kind) (app.Mail, app.Content) {
	m, c := accountMail(kind)
	refund := money.Amount{Minor: 500, Currency: "EUR"}
	m.Order = &app.Order{
		Number: "S-1001", Total: money.Amount{Minor: 123456, Currency: "EUR"}, Reason: "out of stock",
		Lines:  []app.Line{{SKU: "LAMP-1", Name: "Lamp <b>\"big\"</b> & co", Quantity: 2, Total: money.Amount{Minor: 123456, Currency: "EUR"}}},
		Refund: &refund,
	}
	return m, c
}

func TestEveryMailIsWrittenInEveryLanguage(t *testing.T) {
	seen := map[string]bool{}
	for _, lang := range []string{"en", "de"} {
		for _, kind := range append(app.AccountKinds(), app.OrderKinds()...) {
			m, c := accountMail(kind)
			if kind.OfOrder() {
				m, c = orderMail(kind)
			}
			c.Locale = lang
			got := compile(t, m, c)
			greeting := map[string]string{"en": "Hello Ada Lovelace,", "de": "Guten Tag Ada Lovelace,"}[lang]
			for _, body := range []string{got.text, got.html} {
				if !strings.Contains(body, greeting) || strings.Contains(body, "{{") || strings.Contains(body, "<no value>") {
					t.Errorf("%s %s:\n%s", lang, kind, body)
				}
			}
			if seen[got.subject] || got.subject == "" {
				t.Errorf("%s %s has the subject %q like another", lang, kind, got.subject)
			}
			seen[got.subject] = true
			if got.header.Get("Content-Language") != lang || !strings.Contains(got.html, `<html lang="`+lang+`">`) {
				t.Errorf("%s %s says it is %s", lang, kind, got.header.Get("Content-Language"))
			}
			if low := strings.ToLower(got.html); strings.Contains(low, "<img") || strings.Contains(low, "url(") || strings.Contains(low, "<script") || strings.Contains(low, "<link") {
				t.Errorf("%s %s loads something", lang, kind)
			}
			if kind.HasLink() && (!strings.Contains(got.text, "\r\n"+link+"\r\n") || !strings.Contains(got.html, `href="`+link+`"`)) {
				t.Errorf("%s %s has no link:\n%s\n%s", lang, kind, got.text, got.html)
			}
			if strings.Contains(got.subject, "token") || strings.Contains(got.subject, "smv_") {
				t.Errorf("the subject holds a secret: %s", got.subject)
			}
		}
	}
}

func TestTheHeadersTellWhatTheMailIs(t *testing.T) {
	m, c := orderMail(app.OrderConfirmed)
	first, second := compile(t, m, c), compile(t, m, c)
	for name, want := range map[string]string{
		"Message-Id": "<" + m.ID.String() + "@souk.example>", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
		"List-Id": "<orders.souk.example>", "From": `"Souk" <no-reply@souk.example>`, "Mime-Version": "1.0",
	} {
		if got := first.header.Get(name); got != want || second.header.Get(name) != want {
			t.Errorf("%s: %s, and again %s; want %s", name, got, second.header.Get(name), want)
		}
	}
	if app.MailID("/users", "1") == app.MailID("/orders", "1") || app.MailID("/users", "1") == app.MailID("/users", "2") {
		t.Error("two events have one Message-ID")
	}
	if account, content := accountMail(app.VerifyEmail); compile(t, account, content).header.Get("List-Id") != "<account.souk.example>" {
		t.Error("List-Id of an account's mail")
	}
}

func TestALocaleChoosesTheNearestLanguage(t *testing.T) {
	for locale, want := range map[string]string{"": "en", "en-GB": "en", "de": "de", "de-AT": "de", "de_CH": "de", "fr": "en", "DE": "de", "gsw": "de", "x\r\ny": "en", strings.Repeat("de-", 1000): "en"} {
		if got := languageOf(locale); got != want {
			t.Errorf("%.20q: %s, want %s", locale, got, want)
		}
	}
}

func TestAmountsAreExact(t *testing.T) {
	for _, c := range []struct {
		lang, currency string
		minor          int64
		want           string
	}{
		{"en", "EUR", 123456, "€1,234.56"}, {"de", "EUR", 123456, "1.234,56\u00a0€"}, {"en", "JPY", 500, "¥500"}, {"en", "KWD", 1, "KWD\u00a00.001"},
		{"en", "EUR", -5, "-€0.05"}, {"de", "USD", 9007199254740991, "90.071.992.547.409,91\u00a0$"}, {"en", "???", 5, "??? 5 minor"},
	} {
		if got := amount(c.lang, money.Amount{Minor: c.minor, Currency: c.currency}); got != c.want {
			t.Errorf("%s %d %s: %q, want %q", c.lang, c.minor, c.currency, got, c.want)
		}
	}
}

func TestAnOrderIsShownWhole(t *testing.T) {
	m, c := orderMail(app.OrderRefunded)
	got := compile(t, m, c)
	for _, want := range []string{"2 x Lamp <b>\"big\"</b> & co (LAMP-1): €1,234.56", "Total: €1,234.56", "Refund: €5.00", "Reason: out of stock"} {
		if !strings.Contains(got.text, want) {
			t.Errorf("the text lacks %q:\n%s", want, got.text)
		}
	}
	if !strings.Contains(got.html, "Lamp &lt;b&gt;&#34;big&#34;&lt;/b&gt; &amp; co") || strings.Contains(got.html, "<b>\"big\"") {
		t.Errorf("the name of a product is markup:\n%s", got.html)
	}
	for range 249 {
		m.Order.Lines = append(m.Order.Lines, m.Order.Lines[0])
	}
	if got = compile(t, m, c); strings.Count(got.text, "LAMP-1") != shownLines || !strings.Contains(got.text, "and 150 more items") {
		t.Errorf("a long order:\n%.300s", got.text)
	}
}

func TestAFailedOrderIsExplainedInWords(t *testing.T) {
	for _, lang := range []string{"en", "de"} {
		seen := map[string]bool{}
		for _, code := range []string{
			"insufficient_stock", "unknown_sku", "payment_declined", "payment_timeout", "stock_timeout", "reservation_expired", "capture_failed", "what_comes_later", "",
		} {
			m, c := orderMail(app.OrderFailed)
			m.Order.Reason, c.Locale = code, lang
			got := compile(t, m, c)
			if code != "" && (strings.Contains(got.text, code) || strings.Contains(got.html, code)) {
				t.Errorf("%s: shows the code %s", lang, code)
			}
			if charged := map[string]string{"en": "not charged", "de": "nichts berechnet"}[lang]; !strings.Contains(got.text, charged) {
				t.Errorf("%s %s: does not say that nothing was charged:\n%s", lang, code, got.text)
			}
			seen[got.text] = true
		}
		if len(seen) != 8 { // the last two are the same
			t.Errorf("%s: %d different texts", lang, len(seen))
		}
	}
}
