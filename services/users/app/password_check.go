package app

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"golang.org/x/text/cases"

	"souk/internal/errs"
)

const (
	minPassword = 10  // characters, after NFKC
	maxPassword = 128 // likewise
	minScore    = 2   // of zxcvbn's 0 to 4: at least 10^6 guesses
	scored      = 32  // characters that zxcvbn looks at: its time grows faster than the square of them
)

const tooLong = "must have at most 128 characters"

// Check refuses a password that others would guess: errs.Unprocessable weak-password, at /password. It measures in characters
// after NFKC. The e-mail address is one that CheckEmail gave, or "".
func (p *Passwords) Check(password, email string) error {
	normal, ok := normalise(password)
	if !ok {
		return weak(tooLong)
	}
	switch n := utf8.RuneCountInString(normal); {
	case !utf8.ValidString(password):
		return weak("must be UTF-8")
	case n == 0:
		return weak("is required")
	case n < minPassword:
		return weak(fmt.Sprintf("must have at least %d characters", minPassword))
	case n > maxPassword:
		return weak(tooLong)
	}
	folded := cases.Fold().String(normal)
	local, domain, _ := strings.Cut(email, "@")
	if len(local) >= 3 && strings.Contains(folded, local) {
		return weak("must not contain the name in your e-mail address")
	}
	for _, list := range p.common {
		if list.Suggests(folded) {
			return weak("is one of the passwords that are tried first: a common one, or one with a few digits or signs before or after it; use several words that do not belong together")
		}
	}
	hints := []string{"souk", local, domain}
	hints = append(hints, strings.FieldsFunc(email, func(r rune) bool { return !letterOrDigit(r) })...)
	if zxcvbn.PasswordStrength(prefix(normal, scored), hints).Score < minScore {
		return weak("is too easy to guess: avoid names, dates, keyboard rows and repetitions, or use several words that do not belong together")
	}
	return nil
}

// weak says what to change; the text never has the password in it.
func weak(detail string) *errs.Error {
	return errs.New(errs.Unprocessable, "weak-password", "choose another password").With(errs.Field{Pointer: "/password", Detail: detail})
}

// prefix is the first n characters of a text.
func prefix(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}
