package mail

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"souk/services/notifications/app"
)

// hostileNames are names that somebody registers with.
var hostileNames = map[string]string{
	"header":     "Ada\r\nBcc: victim@example.com\r\n\r\n<h1>hi",
	"newline":    "Ada\nLovelace",
	"encoded":    "=?utf-8?q?Ada=0D=0ABcc:_victim@example.com?=",
	"quotes":     `"Ada" \" <victim@example.com>, "`,
	"commas":     "Ada, Bob; Eve <",
	"emoji":      "Ada 👩‍🚀🏴‍☠️",
	"huge":       strings.Repeat("Ada ", 2500),
	"hugeRune":   strings.Repeat("𝔸", 2500),
	"rtl":        "\u202eGNP.exe\u202c \u2066x\u2069 עדה",
	"arabic":     "سارة",
	"separators": "Ada\u2028Bcc: x\u2029y\u0085z\x0bw",
	"controls":   "A\x00d\x1b[31ma\x7f",
	"invalid":    "A\xff\xfeda",
	"markup":     `<script>alert(1)</script><img src="https://evil.example/x.png">`,
	"template":   "{{.Link}} {{template \"x\"}}",
	"link":       "Win a prize at https://evil.example/now",
	"domain":     "visit evil.example",
	"www":        "WWW.evil",
	"blank":      " \t ",
	"format":     "%s%d%!",
	"dot":        "\r\n.\r\nMAIL FROM:<a@b>",
}

func TestNoNameBreaksOutOfItsPlace(t *testing.T) {
	m, c := accountMail(app.VerifyEmail)
	plain := compile(t, m, c)
	for what, name := range hostileNames {
		t.Run(what, func(t *testing.T) {
			c := c
			c.Name = name
			got := compile(t, m, c)
			if len(got.header) != len(plain.header) {
				t.Errorf("the headers are %v", got.header)
			}
			for key, values := range got.header {
				if len(values) != 1 {
					t.Errorf("%s is there %d times", key, len(values))
				}
			}
			if got.header.Get("Bcc") != "" || got.to.Address != c.To || got.subject != plain.subject {
				t.Errorf("to %v, subject %q, %v", got.to, got.subject, got.header)
			}
			if n := utf8.RuneCountInString(got.to.Name); n > maxName || strings.ContainsAny(got.to.Name, "\r\n\x00\u202e\u2028") {
				t.Errorf("the name became %q", got.to.Name)
			}
			for _, body := range []string{got.text, got.html} {
				if strings.ContainsAny(body, "\x00\x1b\u202e\u2066\u2028") || !utf8.ValidString(body) {
					t.Errorf("control characters went through:\n%q", body)
				}
				if strings.Contains(body, "evil") || strings.Contains(body, "victim") {
					t.Errorf("our mail carries somebody's advertisement:\n%s", body)
				}
				if strings.Count(body, link) != strings.Count(plain.text, link) && strings.Count(body, link) != strings.Count(plain.html, link) {
					t.Errorf("the link is there %d times", strings.Count(body, link))
				}
			}
			if strings.Contains(got.html, "<script") || strings.Contains(got.html, "<img") {
				t.Errorf("the name is markup:\n%s", got.html)
			}
			first, _, _ := strings.Cut(got.text, "\r\n")
			if !strings.HasPrefix(first, "Hello") || !strings.HasSuffix(first, ",") || !strings.HasPrefix(got.text, first+"\r\n\r\nsomeone, we hope you,") {
				t.Errorf("the greeting takes more than its line:\n%s", got.text)
			}
		})
	}
}

func TestNamesThatPeopleHaveAreKept(t *testing.T) {
	m, c := accountMail(app.VerifyEmail)
	for _, name := range []string{"Ada", "Dr. Ada King", "Jean-Luc O'Neill", "Łukasz Żółć", "سارة", "עדה", "李小龍", "Ada 👩‍🚀", "J. R. R. Tolkien"} {
		c.Name = name
		if got := compile(t, m, c); got.to.Name != name || !strings.HasPrefix(got.text, "Hello "+name+",") {
			t.Errorf("%s became %q and %.60q", name, got.to.Name, got.text)
		}
	}
}

func TestAddressesAndLinksThatCanNotBeAreRefusedForGood(t *testing.T) {
	refused := func(m app.Mail, c app.Content, reason string) {
		t.Helper()
		_, err := compose(sender(), m, c)
		failure := (*app.Failure)(nil)
		if !errors.As(err, &failure) || !failure.Final || failure.Reason != reason {
			t.Errorf("%q %q: %v", c.To, c.Link, err)
		}
		if err != nil && (c.To != "" && strings.Contains(err.Error(), c.To) || c.Link != "" && strings.Contains(err.Error(), c.Link)) {
			t.Errorf("the error tells: %v", err)
		}
	}
	for _, to := range []string{"", "ada", "ada@", "@example.com", "ada@example.com\r\nRCPT TO:<eve@example.com>", "ada@example.com, eve@example.com", "<ada@example.com>", "a b@example.com", `"a b"@example.com`, "ada@exam ple.com", "ada@example.com>", "ädä@example.com", "ada@exämple.com", "ada@example.com\x00", ".ada@example.com", "a..da@example.com", "ada@-example.com", "ada@example..com", strings.Repeat("a", 65) + "@example.com", "ada@" + strings.Repeat("a.", 130) + "com"} {
		m, c := accountMail(app.PasswordChanged)
		c.To = to
		refused(m, c, "bad-address")
	}
	for _, link := range []string{"", "javascript:alert(1)", "//shop.example/x", "https://", "https://shop.example/a b", "https://shop.example/\r\nx", `https://shop.example/"x`, "https://shop.example/<x>", "https://user:pass@shop.example/", "ftp://shop.example/"} {
		m, c := accountMail(app.ResetPassword)
		c.Link = link
		refused(m, c, "bad-link")
	}
}

func FuzzNamesNeverBreakAMessage(f *testing.F) {
	for _, name := range hostileNames {
		f.Add(name, "ada@example.com")
	}
	f.Fuzz(func(t *testing.T, name, to string) {
		m, c := accountMail(app.PasswordChanged)
		c.Name, c.To = name, to
		raw, err := compose(sender(), m, c)
		if err != nil {
			return
		}
		if got := parse(t, raw); got.to.Address != to || len(got.header["Bcc"]) > 0 {
			t.Errorf("%q %q went to %v", name, to, got.to)
		}
	})
}
