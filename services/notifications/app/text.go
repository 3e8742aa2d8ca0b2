package app

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine makes a text from outside fit to be shown within another: one line of at most limit characters, without
// control characters and without those that turn the direction of what follows (Unicode Cf, which hold the bidirectional
// overrides; the two joiners stay, as names and emoji need them).
func OneLine(text string, limit int) string {
	var line []rune
	space := false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = len(line) > 0
			continue
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d':
			continue
		}
		if space {
			line, space = append(line, ' '), false
		}
		if line = append(line, r); len(line) > limit {
			return strings.TrimRight(string(line[:limit-1]), " ") + "…"
		}
	}
	return string(line)
}
