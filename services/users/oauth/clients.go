package oauth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"souk/internal/tokens"
)

// FirstParty is the client of POST /v1/sessions.
const FirstParty = "souk"

// Grant types of RFC 6749.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantClient  = "client_credentials"
)

// Client is a program that may ask for tokens; part of the service's configuration. It holds no secret: those of
// confidential clients come from Options.Secrets.
type Client struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`    // as the consent page shows it
	Public  bool   `yaml:"public"`  // it can't keep a secret: an app, a page (RFC 6749, section 2.1)
	Trusted bool   `yaml:"trusted"` // our own: users are not asked for consent
	// RedirectURIs are compared as texts. http://127.0.0.1/… and http://[::1]/… match with any port (RFC 8252, section 7.3).
	RedirectURIs []string `yaml:"redirect_uris"`
	GrantTypes   []string `yaml:"grant_types"` // authorization_code, refresh_token, client_credentials
	Scopes       []string `yaml:"scopes"`      // the most that it gets
}

// CheckClients returns every problem of a list of clients, given the scopes that there are.
func CheckClients(clients []Client, scopes []string) error {
	var problems []error
	seen := map[string]bool{}
	for _, c := range clients {
		if seen[c.ID] {
			problems = append(problems, fmt.Errorf("client %q comes twice", c.ID))
		}
		seen[c.ID] = true
		for _, problem := range c.problems(scopes) {
			problems = append(problems, fmt.Errorf("client %q: %s", c.ID, problem))
		}
	}
	return errors.Join(problems...)
}

func (c Client) problems(scopes []string) (problems []string) {
	refuse := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	refuse(c.ID == "" || len(c.ID) > 64 || strings.Trim(c.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "", "id must be a to z, 0 to 9 and -, at most 64")
	refuse(c.Name == "" || len(c.Name) > 64, "name must be 1 to 64 characters")
	refuse(len(c.GrantTypes) == 0, "grant_types is empty")
	for _, g := range c.GrantTypes {
		refuse(!slices.Contains([]string{grantCode, grantRefresh, grantClient}, g), "there is no grant type %q", g)
	}
	refuse(c.Public && slices.Contains(c.GrantTypes, grantClient), "a public client can't have client_credentials")
	refuse(slices.Contains(c.GrantTypes, grantCode) != (len(c.RedirectURIs) > 0), "redirect_uris go with authorization_code")
	refuse(len(c.Scopes) == 0, "scopes is empty")
	for _, s := range c.Scopes {
		refuse(!slices.Contains(scopes, s), "there is no scope %q", s)
	}
	for _, uri := range c.RedirectURIs {
		refuse(!registrable(uri), "redirect_uri %q must be https://…, http://127.0.0.1/… or http://[::1]/…, or of a scheme such as com.example.app:/…, without user, fragment or dot segments", uri)
	}
	return problems
}

func registrable(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || strings.ContainsAny(uri, "#\\") || u.String() != uri || strings.Contains(u.Path+"/", "/../") || strings.Contains(u.Path+"/", "/./") {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Host != ""
	case "http":
		_, _, ok := loopback(uri)
		return ok
	}
	return strings.Contains(u.Scheme, ".") // RFC 8252, section 7.1: a domain name of the app's maker, reversed
}

// loopback splits a redirect URI of a loopback address into what is before the port and what is after it.
func loopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if port, isPort := strings.CutPrefix(rest, ":"); isPort {
			end := strings.IndexFunc(port, func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(port)
			}
			if _, err := netip.ParseAddrPort("127.0.0.1:" + port[:end]); err != nil {
				return "", "", false
			}
			rest = port[end:]
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return host, rest, true
		}
	}
	return "", "", false
}

// allows tells whether a redirect URI is one of the client's: the same text (RFC 9700, section 2.1), but for the port of a
// loopback address.
func (c Client) allows(uri string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		if uri == registered {
			return true
		}
		host, rest, ok := loopback(registered)
		h, r, isLoopback := loopback(uri)
		return ok && isLoopback && host == h && rest == r
	})
}

func (c Client) may(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// client finds one by id.
func (s *Server) client(id string) (Client, bool) {
	for _, c := range s.opts.Clients() {
		if c.ID == id {
			return c, true
		}
	}
	return Client{}, false
}

// registered is the client as fosite knows it.
func (s *Server) registered(c Client) fosite.Client {
	d := &fosite.DefaultClient{
		ID: c.ID, Public: c.Public, RedirectURIs: c.RedirectURIs, Scopes: c.Scopes,
		GrantTypes: c.GrantTypes, ResponseTypes: []string{"code"}, Audience: []string{tokens.Audience},
	}
	if !c.Public && s.opts.Secrets != nil {
		if hashes := s.opts.Secrets(c.ID); len(hashes) > 0 {
			d.Secret, d.RotatedSecrets = hashes[0], hashes[1:]
		}
	}
	return &queryClient{d}
}

// queryClient takes its answers in the query: of fragment and form_post there is none.
type queryClient struct{ *fosite.DefaultClient }

// GetResponseModes implements fosite.ResponseModeClient.
func (*queryClient) GetResponseModes() []fosite.ResponseModeType {
	return []fosite.ResponseModeType{fosite.ResponseModeQuery}
}
