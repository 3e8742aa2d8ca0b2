package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/web"
	"souk/services/users/app"
)

// Cookies: loginCookie has the secret of a login in this browser, formCookie that which forms are bound to.
const (
	loginCookie = "souk_login"
	formCookie  = "souk_form"
	formPrefix  = "sfm_"
)

// cookie has the prefix that keeps other hosts and plain http from setting it, where the issuer is https
// (draft-ietf-httpbis-rfc6265bis, section 4.1.3.2).
func (s *Server) cookie(name string) string {
	if s.secure {
		return "__Host-" + name
	}
	return name
}

func (s *Server) setCookie(c *fiber.Ctx, name, value string, expires time.Time) {
	c.Cookie(&fiber.Cookie{Name: s.cookie(name), Value: value, Path: "/", Expires: expires, Secure: s.secure, HTTPOnly: true, SameSite: fiber.CookieSameSiteLaxMode})
}

// secretOf is a cookie that newSecret has made, else "".
func (s *Server) secretOf(c *fiber.Ctx, name, prefix string) string {
	value := c.Cookies(s.cookie(name))
	if len(value) != len(prefix)+base64.RawURLEncoding.EncodedLen(32) || !strings.HasPrefix(value, prefix) {
		return ""
	}
	return value
}

// browser is the login that the cookie stands for, or app.ErrNoGrant.
func (s *Server) browser(c *fiber.Ctx) (app.Browser, error) {
	secret := s.secretOf(c, loginCookie, loginPrefix)
	if secret == "" {
		return app.Browser{}, app.ErrNoGrant
	}
	return s.opts.Store.Browser(web.Context(c), hashOf(secret))
}

// formToken is what a form of this browser has to bring back.
func (s *Server) formToken(c *fiber.Ctx) string {
	secret := s.secretOf(c, formCookie, formPrefix)
	if secret == "" {
		secret, _ = newSecret(formPrefix)
		s.setCookie(c, formCookie, secret, time.Time{})
	}
	return boundTo(secret)
}

func boundTo(secret string) string {
	h := sha256.Sum256([]byte("form " + secret))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// form reads a form that one of our own pages has sent, else it is a *pageError. Three things keep others from posting it:
// SameSite=Lax leaves the cookies out, the browser tells where it comes from, and the form must have the token.
// Origin may be "null": Referrer-Policy: no-referrer does that.
func (s *Server) form(c *fiber.Ctx) (func(name string) string, error) {
	header := &c.Request().Header
	site, origins := c.Get("Sec-Fetch-Site"), header.PeekAll(fiber.HeaderOrigin)
	kind, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	if len(c.Request().Body()) > maxForm {
		return nil, &pageError{status: http.StatusRequestEntityTooLarge, title: "Too much text", detail: "The form has more text than we can take. Go back and shorten it."}
	}
	foreign := site != "" && site != "same-origin" || len(origins) > 1 ||
		len(origins) == 1 && string(origins[0]) != s.origin && string(origins[0]) != "null" ||
		!strings.EqualFold(strings.TrimSpace(kind), fiber.MIMEApplicationForm)
	values, err := parameters(string(c.Request().Body()))
	secret := s.secretOf(c, formCookie, formPrefix)
	if foreign || err != nil || secret == "" || subtle.ConstantTimeCompare([]byte(values.Get("form")), []byte(boundTo(secret))) != 1 {
		return nil, &pageError{status: http.StatusForbidden, title: "This form can't be used any more",
			detail: "Go back to the page before, reload it, and try again. Cookies must be allowed."}
	}
	return values.Get, nil
}

// trimmed is at most n bytes of valid text.
func trimmed(text string, n int) string {
	if len(text) > n {
		text = text[:n]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
