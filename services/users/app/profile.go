package app

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"souk/internal/errs"
)

// Limits of a profile. Lengths are in characters.
const (
	MaxName      = 100
	MaxAddresses = 10
	maxLine      = 100
	maxLocale    = 35 // BCP 47, section 4.4.1
)

// DefaultLocale is that of users who have not said.
const DefaultLocale = "en"

var (
	phonePattern   = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`) // E.164
	countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)
	// linkPattern: a name goes into mails to people who never asked for them, so it must not advertise.
	linkPattern = regexp.MustCompile(`(?i)://|www\.|[^\s]\.[a-z]{2,}/`)
)

// problems collects everything that is wrong, so that a client learns it at once.
type problems []errs.Field

func (ps *problems) add(pointer, format string, args ...any) {
	*ps = append(*ps, errs.Field{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
}

func (ps *problems) err() error {
	if len(*ps) == 0 {
		return nil
	}
	return errs.New(errs.Unprocessable, "invalid-profile", "the profile breaks a rule").With(*ps...)
}

func (ps *problems) profile(u *User) {
	ps.name("/name", u.Name)
	ps.locale(u.Locale)
	if u.Phone != "" && !phonePattern.MatchString(u.Phone) {
		ps.add("/phone", "must be an international number in E.164 form such as +4915112345678, or empty")
	}
	if len(u.Addresses) > MaxAddresses {
		ps.add("/addresses", "must have at most %d items", MaxAddresses)
		return
	}
	for i, a := range u.Addresses {
		at := fmt.Sprintf("/addresses/%d", i)
		ps.line(at+"/label", a.Label, 0)
		ps.line(at+"/name", a.Name, 1)
		ps.line(at+"/line1", a.Line1, 1)
		ps.line(at+"/line2", a.Line2, 0)
		ps.line(at+"/city", a.City, 1)
		ps.line(at+"/region", a.Region, 0)
		ps.line(at+"/postal_code", a.PostalCode, 0)
		if !countryPattern.MatchString(a.Country) {
			ps.add(at+"/country", "must be an ISO 3166-1 alpha-2 code in capitals, such as DE")
		}
	}
}

func (ps *problems) name(pointer, s string) {
	before := len(*ps)
	ps.line(pointer, s, 1)
	if len(*ps) == before && linkPattern.MatchString(s) {
		ps.add(pointer, "must not contain a link")
	}
}

func (ps *problems) locale(s string) {
	if _, err := language.Parse(s); err != nil || len(s) > maxLocale {
		ps.add("/locale", "must be a language tag (BCP 47), such as en or de-AT")
	}
}

// line: text of one line, without blanks at its ends, and without characters that change how what is around it reads.
func (ps *problems) line(pointer, s string, least int) {
	if n := utf8.RuneCountInString(s); n < least || n > maxLine || !utf8.ValidString(s) {
		ps.add(pointer, "must have %d to %d characters", least, maxLine)
	} else if strings.ContainsFunc(s, unprintable) || strings.TrimSpace(s) != s {
		ps.add(pointer, "must be one line without control characters and without blanks at its ends")
	}
}

// unprintable has the controls of the line and of its direction; joiners are letters' parts in some scripts.
func unprintable(r rune) bool {
	const joiner, nonJoiner = '\u200d', '\u200c'
	return !unicode.IsGraphic(r) && r != joiner && r != nonJoiner || r == '\u2028' || r == '\u2029'
}
