package app

import (
	"errors"
	"strings"
	"testing"

	"souk/internal/errs"
)

func TestAnEmailHasOneForm(t *testing.T) {
	for sent, want := range map[string]string{
		"ada@example.com":                        "ada@example.com",
		"Ada.Lovelace+Shop@Example.COM":          "ada.lovelace+shop@example.com",
		"o'brien_7@mail.example.co.uk":           "o'brien_7@mail.example.co.uk",
		"a@xn--mnchen-3ya.de":                    "a@xn--mnchen-3ya.de",     // münchen
		"a@XN--MNCHEN-3YA.de":                    "a@xn--mnchen-3ya.de",     //
		"a@xn--e1afmkfd.xn--p1ai":                "a@xn--e1afmkfd.xn--p1ai", // пример.рф
		"a@xn--r8jz45g.jp":                       "a@xn--r8jz45g.jp",        // 例え: Han with Hiragana
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",
	} {
		if got, err := CheckEmail(sent); got != want || err != nil {
			t.Errorf("%s: %q, %v", sent, got, err)
		}
	}
}

func TestEmailsThatAreNoneOrLookLikeOthersAreRefused(t *testing.T) {
	for sent, say := range map[string]string{
		"":                                       "required",
		"ada":                                    "name@example.com",
		"@example.com":                           "name@example.com",
		"ada@":                                   "name@example.com",
		"ada@b@example.com":                      "name@example.com",
		"ada@localhost":                          "with a dot",
		"ada@example..com":                       "single dots",
		"ada@.example.com":                       "single dots",
		"ada@example.com.":                       "single dots",
		"ada@-example.com":                       "hyphens",
		"ada@exa_mple.com":                       "letters, digits, hyphens",
		"ada@192.0.2.7":                          "IP address",
		"ada@[192.0.2.7]":                        "letters, digits",
		`"ada"@example.com`:                      "before the @",
		"ada@example.com>":                       "letters, digits",
		"ada..l@example.com":                     "no dot",
		".ada@example.com":                       "no dot",
		"ada.@example.com":                       "no dot",
		"ada @example.com":                       "before the @",
		" ada@example.com":                       "before the @",
		"ada@example.com\r\nBcc: x@y.z":          "name@example.com",
		"ada@example.com\n":                      "letters, digits",
		"ada\x00@example.com":                    "before the @",
		"ada,eve@example.com":                    "before the @",
		"аda@example.com":                        "alphabets", // Cyrillic а
		"ad\u0430@example.com":                   "alphabets",
		"ada\u200b@example.com":                  "alphabets", // zero-width space
		"ａｄａ@example.com":                        "alphabets", // full-width
		"ada＠example.com":                        "alphabets", // full-width @
		"ada@ex\u0430mple.com":                   "xn--",
		"ada@münchen.de":                         "xn--",
		"ada@example。com":                        "xn--",
		"ada@xn--exmple-4nf.com":                 "one alphabet",    // exаmple with Cyrillic а
		"ada@xn--80ak6aa92e.com":                 "pass for others", // аррӏе
		"ada@xn--zzzzzzzzz.com":                  "well formed",
		"ada@xn--ada-.com":                       "hyphens",
		"ada@xn--example.com":                    "well formed",
		"ada@ab--cd.com":                         "third place",
		strings.Repeat("a", 65) + "@b.com":       "at most 64",
		"a@" + strings.Repeat("b.", 130) + "com": "at most 254",
		"a@" + strings.Repeat("b", 64) + ".com":  "letters, digits",
		strings.Repeat("a", 1<<20):               "at most 254",
		"ada\xff@example.com":                    "alphabets",
	} {
		got, err := CheckEmail(sent)
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Unprocessable || e.Code != "invalid-email" || len(e.Fields) != 1 || e.Fields[0].Pointer != "/email" || !strings.Contains(e.Fields[0].Detail, say) {
			t.Errorf("%.60q: %q, %v, want %q", sent, got, err, say)
		}
	}
}

// What is stored is its own canonical form, and cannot break a header of a mail.
func FuzzCheckEmail(f *testing.F) {
	f.Add("Ada@Example.com")
	f.Add("ada@xn--mnchen-3ya.de")
	f.Fuzz(func(t *testing.T, sent string) {
		got, err := CheckEmail(sent)
		if err != nil {
			return
		}
		if again, err := CheckEmail(got); again != got || err != nil {
			t.Errorf("%q becomes %q becomes %q, %v", sent, got, again, err)
		}
		if strings.ContainsAny(got, "\r\n\x00<>,;: \"") || got != strings.ToLower(got) || !strings.EqualFold(got, sent) {
			t.Errorf("%q becomes %q", sent, got)
		}
	})
}
