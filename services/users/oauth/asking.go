package oauth

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"
)

// asking is an authorization request (RFC 6749, section 4.1.1) of a known client with a redirect URI of its own. Any other
// is shown to the user and never redirected: it might be an attack on the user (section 4.1.2.1).
type asking struct {
	query   string // as it was sent; forms carry it on
	values  url.Values
	client  Client
	request fosite.AuthorizeRequester
	scopes  []string // asked for, of those that the client may have
}

// redirectError is a fault that the client is told of by a redirect.
type redirectError struct {
	asking asking
	err    error
}

func (e *redirectError) Error() string { return e.err.Error() }
func (e *redirectError) Unwrap() error { return e.err }

// read checks an authorization request. Its errors are a *redirectError, or for the user.
func (s *Server) read(ctx context.Context, query string) (asking, error) {
	a := asking{query: query}
	if len(query) > maxQuery {
		return a, errTooLarge
	}
	var err error
	if a.values, err = parameters(query); err != nil {
		return a, err
	}
	var ok bool
	if a.client, ok = s.client(a.values.Get("client_id")); !ok || !a.client.may(grantCode) {
		return a, fosite.ErrInvalidClient.WithHint("The application is not known here.")
	}
	uri := a.values.Get("redirect_uri")
	switch {
	case uri == "" && len(a.client.RedirectURIs) == 1:
		uri = a.client.RedirectURIs[0]
	case !a.client.allows(uri):
		return a, fosite.ErrInvalidRequest.WithHint("The 'redirect_uri' is not one of the application's.")
	}
	redirect, err := url.Parse(uri)
	if err != nil {
		return a, fosite.ErrInvalidRequest.WithHint("The 'redirect_uri' can't be read.")
	}
	// From here on the client can be told.
	a.request = &fosite.AuthorizeRequest{RedirectURI: redirect}
	if err := s.check(ctx, &a); err != nil {
		return a, &redirectError{a, err}
	}
	return a, nil
}

func (s *Server) check(ctx context.Context, a *asking) error {
	state, challenge := a.values.Get("state"), a.values.Get("code_challenge")
	switch {
	case len(state) > maxState || !printable(state):
		a.values.Del("state") // it is not repeated
		return fosite.ErrInvalidRequest.WithHint("The 'state' is too long, or has characters that are not allowed.")
	case a.values.Has("request"):
		return fosite.ErrRequestNotSupported
	case a.values.Has("request_uri"):
		return fosite.ErrRequestURINotSupported
	}
	form := maps.Clone(a.values)
	form.Set("state", "is carried by us") // fosite wants one of a certain length; with PKCE none is needed (RFC 9700, section 2.1)
	request, err := s.provider.NewAuthorizeRequest(ctx, &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}, Form: form, PostForm: url.Values{}})
	if err != nil {
		return err
	}
	// Now rather than when the user has logged in, and only S256: "plain" protects nothing (RFC 9700, section 2.1.1).
	if raw, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(raw) != 32 || a.values.Get("code_challenge_method") != "S256" {
		return fosite.ErrInvalidRequest.WithHint("PKCE is required: a 'code_challenge' with the 'code_challenge_method' S256.")
	}
	a.request = request
	a.scopes = common(request.GetRequestedScopes(), a.client.Scopes)
	if len(a.scopes) == 0 {
		a.scopes = a.client.Scopes
	}
	return nil
}

// source is the redirect URI as Content-Security-Policy names where a form may lead. A redirect after a form counts as
// the form's in Chromium. The grammar has no IPv6 addresses: the whole scheme has to do for those.
func (a asking) source() string {
	u := a.request.GetRedirectURI()
	if u.Host == "" || strings.ContainsAny(u.Host, "[];, '\"") {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
