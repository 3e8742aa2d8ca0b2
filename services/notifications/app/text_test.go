package app

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOneLineIsOneBearableLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " \r\n\t ": "", "Ada": "Ada", " Ada \r\n Lov ": "Ada Lov", "a\x00b\x1bc": "abc", "a\u202eb\u2066c\ufeff": "abc",
		"a\u2028b": "a b", "\xffa\xfe": "a", "👩‍🚀": "👩‍🚀", "12345678": "12345678", "1234567890": "1234567890", "12345678901": "123456789…", "123456789 1": "123456789…", "12345678 90": "12345678…",
		"1234567890 ": "1234567890",
	} {
		if got := OneLine(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := OneLine(strings.Repeat("𝔸 ", 5000), 64); utf8.RuneCountInString(got) > 64 {
		t.Errorf("%d characters", utf8.RuneCountInString(got))
	}
}
