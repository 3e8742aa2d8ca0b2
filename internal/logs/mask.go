package logs

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

const (
	hidden = "***"
	// A longer value is cut: one line must not fill the disk. A stack trace fits.
	maxValue = 16 << 10
)

// masker hides secrets in attributes. It remembers its judgement of keys, which
// are few and the same in every line.
type masker struct {
	keys  sync.Map // string to keyKind
	count atomic.Int64
}

// maxKeys bounds what is remembered, should somebody log with keys from outside.
const maxKeys = 1024

type keyKind uint8

const (
	plainKey  keyKind = iota
	secretKey         // texts under it are secrets; numbers, times and durations are none (token_ttl)
	cardKey           // numbers too
)

func (m *masker) kind(key string) keyKind {
	if k, ok := m.keys.Load(key); ok {
		return k.(keyKind)
	}
	k := kindOf(key)
	if m.count.Add(1) <= maxKeys {
		m.keys.Store(strings.Clone(key), k)
	}
	return k
}

// masked hides the attribute's value if its key or the value itself looks like a secret.
func (m *masker) masked(a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if m.kind(a.Key) != plainKey {
			return slog.String(a.Key, hidden)
		}
		if s := a.Value.String(); suspicious(s) {
			a.Value = slog.StringValue(Mask(s))
		}
	case slog.KindAny:
		if m.kind(a.Key) != plainKey {
			return slog.String(a.Key, hidden)
		}
		a.Value = maskedAny(a.Value.Any())
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		if m.kind(a.Key) == cardKey {
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
		if kindOf(key) != plainKey {
			return hidden
		}
		return Mask(v)
	case float64:
		if kindOf(key) == cardKey {
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

func kindOf(key string) keyKind {
	key = strings.ToLower(key[strings.LastIndexByte(key, '.')+1:])
	key = strings.ReplaceAll(strings.ReplaceAll(key, "_", ""), "-", "")
	switch key {
	case "cvv", "cvc", "pan", "pin", "cardnumber", "iban":
		return cardKey
	}
	for _, w := range secretWords {
		if strings.Contains(key, w) {
			return secretKey
		}
	}
	return plainKey
}

var (
	jwtPattern    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)*`)
	vaultPattern  = regexp.MustCompile(`\bhv[sbr]\.[A-Za-z0-9_-]{8,}`)
	urlPattern    = regexp.MustCompile(`(://[^\s:/?#@]*):[^\s/]*@`)
	schemePattern = regexp.MustCompile(`(?i)\b(?:bearer|basic) +[A-Za-z0-9._~+/=-]{8,}`)
	pairPattern   = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api[_-]?key)(?:=|"\s*:\s*"))[^\s"&;,]+`)
	pemPattern    = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`)
)

// maskScheme leaves prose alone: "a basic understanding".
func maskScheme(match string) string {
	scheme, value, _ := strings.Cut(match, " ")
	if 'a' <= scheme[0] && scheme[0] <= 'z' && strings.Trim(value, "abcdefghijklmnopqrstuvwxyz -.") == "" {
		return match
	}
	return scheme + " " + hidden
}

// suspicious reports whether Mask could change the text. Most values are short
// names and numbers, which have none of these characters.
func suspicious(s string) bool { return len(s) > maxValue || strings.ContainsAny(s, ".@ =\"") }

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
	// The patterns are tried only where their fixed part is found.
	if strings.Contains(s, "eyJ") {
		s = jwtPattern.ReplaceAllString(s, hidden)
	}
	if strings.Contains(s, "hvs.") || strings.Contains(s, "hvb.") || strings.Contains(s, "hvr.") {
		s = vaultPattern.ReplaceAllString(s, hidden)
	}
	if strings.IndexByte(s, '@') >= 0 && strings.Contains(s, "://") {
		s = urlPattern.ReplaceAllString(s, "${1}:"+hidden+"@")
	}
	if strings.Contains(s, "earer ") || strings.Contains(s, "asic ") || strings.Contains(s, "EARER ") || strings.Contains(s, "ASIC ") {
		s = schemePattern.ReplaceAllStringFunc(s, maskScheme)
	}
	if strings.Contains(s, "PRIVATE KEY") {
		s = pemPattern.ReplaceAllString(s, hidden)
	}
	if strings.IndexByte(s, '=') >= 0 || strings.IndexByte(s, '"') >= 0 {
		s = pairPattern.ReplaceAllString(s, "${1}"+hidden)
	}
	return s
}
