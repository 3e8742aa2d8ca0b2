package app

import (
	"strings"
	"unicode"
)

// mixesScripts reports whether a label has letters of scripts that no language writes together: the "Highly Restrictive" level of
// UTS #39, section 5.2, less its exception for Latin beside Chinese, Japanese and Korean, which look-alikes don't need.
func mixesScripts(label string) bool {
	scripts := map[string]bool{}
	for _, r := range label {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		scripts[scriptOf(r)] = true
	}
	switch {
	case len(scripts) <= 1:
		return false
	case within(scripts, "Han", "Hiragana", "Katakana"), within(scripts, "Han", "Bopomofo"), within(scripts, "Han", "Hangul"):
		return false
	}
	return true
}

func scriptOf(r rune) string {
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return ""
}

func within(scripts map[string]bool, allowed ...string) bool {
	n := 0
	for _, name := range allowed {
		if scripts[name] {
			n++
		}
	}
	return n == len(scripts)
}

// passing are the letters beyond ASCII that look like lower-case letters of it (from UTS #39's confusables.txt).
const passing = "асԁеһіјӏорԛѕԝху" + // Cyrillic
	"αγικνορυχ" + // Greek
	"ցհոօսց" + // Armenian
	"ıȷɑɡɩʋᴄᴏᴠᴡᴢ" // Latin

// looksASCII reports whether a label has letters that pass for ASCII ones and no other: a whole-script confusable (UTS #39,
// section 4) such as "аррӏе". Latin letters with marks (ä, é) are in people's names and show what they are.
func looksASCII(label string) bool {
	passes := false
	for _, r := range label {
		switch {
		case r <= unicode.MaxASCII:
		case strings.ContainsRune(passing, r):
			passes = true
		default:
			return false
		}
	}
	return passes
}
