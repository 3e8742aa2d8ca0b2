package web

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

// checkPath accepts paths that all servers on the way read alike: RFC 3986's
// characters, no empty, "." or ".." segment, and no percent-encoding of "/", "\",
// "%" or a control character. What it accepts can be routed as it is written.
func checkPath(path []byte) *fault {
	if string(path) == "*" { // OPTIONS *; no route has it
		return nil
	}
	if len(path) == 0 || path[0] != '/' {
		return badPath("it must start with /")
	}
	var (
		encoded = false
		segment = make([]byte, 0, 64) // decoded
	)
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			switch last := i == len(path); {
			case len(segment) == 0 && !last:
				return badPath("it has an empty segment")
			case string(segment) == "." || string(segment) == "..":
				return badPath("it has a dot segment")
			case encoded && !utf8.Valid(segment):
				return badPath("it is not UTF-8")
			}
			segment, encoded = segment[:0], false
			continue
		}
		c := path[i]
		if c != '%' {
			if !pathByte(c) {
				return badPath("it has a character that must be percent-encoded")
			}
			segment = append(segment, c)
			continue
		}
		if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			return badPath("it has a malformed percent-encoding")
		}
		c = unhex(path[i+1])<<4 | unhex(path[i+2])
		if c < ' ' || c == 0x7f || c == '/' || c == '\\' || c == '%' {
			return badPath("it encodes a character that is not allowed")
		}
		segment, encoded = append(segment, c), true
		i += 2
	}
	return nil
}

func badPath(detail string) *fault {
	return &fault{status: http.StatusBadRequest, code: "bad-path", detail: "the path is not accepted: " + detail}
}

// pathByte is pchar of RFC 3986, section 3.3, without percent-encoding.
func pathByte(c byte) bool {
	return alphanumeric(c) || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// Param is a path parameter, percent-decoded: UTF-8 without control characters
// and "/". c.Params gives it as it was sent.
func Param(c *fiber.Ctx, name string) (string, error) {
	text, err := url.PathUnescape(c.Params(name))
	if err != nil || !utf8.ValidString(text) {
		return "", errs.New(errs.NotFound, "not-found", "there is nothing at this path")
	}
	return text, nil
}
