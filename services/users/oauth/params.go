package oauth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/ory/fosite"
)

const (
	maxForm  = 16 << 10 // bytes of a form
	maxQuery = 4 << 10  // bytes of an authorization request: it has to fit into forms and redirects
	maxState = 1 << 10  // bytes
)

// parameters reads a form or query. A parameter must not come twice (RFC 6749, sections 3.1 and 3.2): two readers might
// take different ones for it. RFC 8707 lets resource repeat; it is not used.
func parameters(text string) (url.Values, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fosite.ErrInvalidRequest.WithHint("The parameters are not form-encoded.")
	}
	for name, v := range values {
		if len(v) > 1 && name != "resource" {
			return nil, fosite.ErrInvalidRequest.WithHint("A parameter comes twice.")
		}
		if strings.ContainsRune(v[0], 0) || !printable(name) {
			return nil, fosite.ErrInvalidRequest.WithHint("A parameter has characters that are not allowed.")
		}
	}
	return values, nil
}

// printable is VSCHAR of RFC 6749, appendix A.
func printable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// post reads a request of a program: a form in the body, nothing in the query. Everything in it is a copy.
func (s *Server) post(c *fiber.Ctx) (*http.Request, error) {
	header := http.Header{}
	for _, value := range c.Request().Header.PeekAll(fiber.HeaderAuthorization) {
		header.Add("Authorization", string(value))
	}
	kind, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	switch {
	case len(header["Authorization"]) > 1:
		return nil, fosite.ErrInvalidRequest.WithHint("The Authorization header comes twice.")
	case len(c.Request().URI().QueryString()) > 0:
		return nil, fosite.ErrInvalidRequest.WithHint("Send parameters in the body only.")
	case !strings.EqualFold(strings.TrimSpace(kind), fiber.MIMEApplicationForm):
		return nil, fosite.ErrInvalidRequest.WithHint("The body must be application/x-www-form-urlencoded.")
	case len(c.Request().Body()) > maxForm:
		return nil, errTooLarge
	}
	form, err := parameters(string(c.Request().Body()))
	if err != nil {
		return nil, err
	}
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{}, Header: header, Form: form, PostForm: form}
	id, _, basic := r.BasicAuth()
	if id, err = url.QueryUnescape(id); err != nil {
		return nil, fosite.ErrInvalidRequest.WithHint("The client id in the Authorization header is not form-encoded.")
	}
	switch { // RFC 6749, section 2.3: one way of authentication
	case basic && form.Has("client_secret"), basic && form.Get("client_id") != "" && form.Get("client_id") != id:
		return nil, fosite.ErrInvalidRequest.WithHint("The client authenticates in two ways.")
	case !basic:
		id = form.Get("client_id")
	}
	if client, ok := s.client(id); ok && client.Public && (basic || form.Get("client_secret") != "") {
		return nil, fosite.ErrInvalidClient.WithHint("The client is public and has no secret.")
	}
	return r, nil
}
