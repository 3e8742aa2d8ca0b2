package app

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"souk/internal/errs"
)

const (
	maxEmail = 254 // RFC 5321, section 4.5.3.1.3, less its angle brackets
	maxLocal = 64  // RFC 5321, section 4.5.3.1.1
)

// CheckEmail gives an e-mail address in the one form that Souk stores and compares: ASCII, in lower case. What it refuses is
// errs.Unprocessable invalid-email, at /email. It takes addresses as people have them: a dot-atom (RFC 5321, section 4.1.2, without
// quoted strings and address literals) at a domain name with a dot. Two addresses that look the same are the same: letters
// beyond ASCII are refused, and so are xn-- labels that stand for a mixture of scripts or for letters that pass as ASCII.
func CheckEmail(s string) (canonical string, err error) {
	if s == "" {
		return "", invalidEmail("is required")
	}
	if len(s) > maxEmail {
		return "", invalidEmail("must have at most 254 characters")
	}
	local, domain, found := strings.Cut(s, "@")
	switch {
	case !ascii(local):
		return "", invalidEmail("must have only ASCII letters before the @; letters of other alphabets may look the same and are not accepted")
	case !ascii(domain):
		return "", invalidEmail("must have only ASCII letters; write the domain as DNS does, with xn--")
	case !found || local == "" || domain == "" || strings.Contains(domain, "@"):
		return "", invalidEmail("must look like name@example.com")
	case len(local) > maxLocal:
		return "", invalidEmail("must have at most 64 characters before the @")
	case !dotAtom(local):
		return "", invalidEmail("must have only letters, digits and .!#$%&'*+/=?^_`{|}~- before the @, and no dot at its ends or beside another dot")
	}
	domain = strings.ToLower(domain)
	if detail := domainFault(domain); detail != "" {
		return "", invalidEmail(detail)
	}
	return strings.ToLower(local) + "@" + domain, nil
}

func invalidEmail(detail string) *errs.Error {
	return errs.New(errs.Unprocessable, "invalid-email", "this is not an e-mail address that Souk accepts").With(errs.Field{Pointer: "/email", Detail: detail})
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// dotAtom is Dot-string of RFC 5321, section 4.1.2.
func dotAtom(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !letterOrDigit(r) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~-", r) }) {
			return false
		}
	}
	return true
}

func letterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// domainFault says what is wrong with a domain in lower case, or "".
func domainFault(domain string) string {
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return "must have a domain with a dot"
	}
	for _, label := range labels {
		// RFC 1123, section 2.1
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !letterOrDigit(r) && r != '-' }) {
			return "must have a domain of letters, digits, hyphens and single dots"
		}
		if len(label) > 3 && label[2:4] == "--" {
			if detail := internationalFault(label); detail != "" {
				return detail
			}
		}
	}
	if last := labels[len(labels)-1]; !strings.ContainsFunc(last, unicode.IsLetter) {
		return "must have a domain name, not an IP address"
	}
	return ""
}

// internationalFault says what is wrong with a label that has hyphens at its third and fourth place (RFC 5891, section 4.2.3.1).
func internationalFault(label string) string {
	if !strings.HasPrefix(label, "xn--") {
		return "must have a domain whose labels begin with xn-- if they have -- at their third place"
	}
	shown, err := idna.Registration.ToUnicode(label)
	if err != nil || shown == label {
		return "must have a domain whose xn-- labels are well formed"
	}
	if back, err := idna.Registration.ToASCII(shown); err != nil || back != label {
		return "must have a domain whose xn-- labels are well formed"
	}
	if mixesScripts(shown) {
		return "must have a domain whose xn-- labels keep to one alphabet"
	}
	if looksASCII(shown) {
		return "must have a domain whose xn-- labels do not pass for others"
	}
	return ""
}
