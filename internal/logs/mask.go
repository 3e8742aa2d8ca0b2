package logs

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

const (
	hidden = "***"
	// A longer value is cut: one line must not fill the disk. A stack trace fits.
	maxValue = 16 << 10
)

// masked hides the attribute's value if its key or its value looks like a secret.
// Numbers, times and durations are no secrets (token_ttl) unless the key says card.
func masked(a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if secretKey(a.Key) {
			return slog.String(a.Key, hidden)
		}
		a.Value = slog.StringValue(Mask(a.Value.String()))
	case slog.KindAny:
		if secretKey(a.Key) {
			return slog.String(a.Key, hidden)
		}
		a.Value = maskedAny(a.Value.Any())
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		if cardKey(a.Key) {
			return slog.String(a.Key, hidden)
		}
	default:
	}
	return a
}

func maskedAny(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error:
		return slog.StringValue(Mask(v.Error()))
	case []byte:
		return slog.StringValue(Mask(string(v)))
	case fmt.Stringer:
		return slog.StringValue(Mask(v.String()))
	}
	// A struct or map may hold secrets at any depth: look at it as JSON.
	data, err := json.Marshal(v)
	if err != nil || len(data) > maxValue {
		return slog.StringValue(fmt.Sprintf("%T", v))
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return slog.StringValue(fmt.Sprintf("%T", v))
	}
	return slog.AnyValue(maskedTree("", tree))
}

func maskedTree(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			v[k] = maskedTree(k, member)
		}
		return v
	case []any:
		for i := range v {
			v[i] = maskedTree(key, v[i])
		}
		return v
	case string:
		if secretKey(key) {
			return hidden
		}
		return Mask(v)
	case float64:
		if cardKey(key) {
			return hidden
		}
	}
	return v
}

// secretWords are looked for anywhere in the last part of a dotted key, with
// case, "_" and "-" ignored.
var secretWords = []string{
	"password", "passwd", "passphrase", "secret", "token", "authorization", "cookie",
	"apikey", "jwt", "creds", "credential", "privatekey", "signature", "otp",
}

func secretKey(key string) bool {
	if cardKey(key) {
		return true
	}
	key = flat(key)
	for _, w := range secretWords {
		if strings.Contains(key, w) {
			return true
		}
	}
	return false
}

func cardKey(key string) bool {
	switch flat(key) {
	case "cvv", "cvc", "pan", "pin", "cardnumber", "iban":
		return true
	}
	return false
}

// flat is the last part of a dotted key in lower case without "_" and "-".
func flat(key string) string {
	key = key[strings.LastIndexByte(key, '.')+1:]
	for i := range len(key) {
		if c := key[i]; c == '_' || c == '-' || 'A' <= c && c <= 'Z' {
			return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
		}
	}
	return key
}

var (
	jwtPattern    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)*`)
	vaultPattern  = regexp.MustCompile(`\bhv[sbr]\.[A-Za-z0-9_-]{8,}`)
	urlPattern    = regexp.MustCompile(`(://[^\s:/?#@]*):[^\s/]*@`)
	schemePattern = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}`)
	pairPattern   = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api[_-]?key)(?:=|"\s*:\s*"))[^\s"&;,]+`)
	pemPattern    = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`)
)

// Mask hides JWTs, Vault tokens, passwords in URLs and in name=value pairs,
// Authorization values and private keys in a text, and cuts it if it is huge.
func Mask(s string) string {
	if len(s) > maxValue {
		cut := maxValue
		for cut > maxValue-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = fmt.Sprintf("%s... (%d bytes)", s[:cut], len(s))
	}
	// Most values are short names and numbers: the patterns are not even tried.
	if strings.IndexByte(s, '.') >= 0 {
		if strings.Contains(s, "eyJ") {
			s = jwtPattern.ReplaceAllString(s, hidden)
		}
		if strings.Contains(s, "hv") {
			s = vaultPattern.ReplaceAllString(s, hidden)
		}
	}
	if strings.IndexByte(s, '@') >= 0 && strings.Contains(s, "://") {
		s = urlPattern.ReplaceAllString(s, "${1}:"+hidden+"@")
	}
	if strings.IndexByte(s, ' ') >= 0 {
		if i := strings.IndexAny(s, "bB"); i >= 0 {
			s = schemePattern.ReplaceAllString(s, "$1 "+hidden)
		}
		if strings.Contains(s, "PRIVATE KEY") {
			s = pemPattern.ReplaceAllString(s, hidden)
		}
	}
	if strings.IndexByte(s, '=') >= 0 || strings.IndexByte(s, '"') >= 0 {
		s = pairPattern.ReplaceAllString(s, "${1}"+hidden)
	}
	return s
}
