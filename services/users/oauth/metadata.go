package oauth

import (
	"slices"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/web"
)

// metadata answers GET /.well-known/oauth-authorization-server (RFC 8414).
func (s *Server) metadata(c *fiber.Ctx) error {
	if err := web.Query(c).Err(); err != nil {
		return err
	}
	at := func(path string) string { return s.opts.Issuer + path }
	methods := []string{"client_secret_basic", "client_secret_post"}
	var scopes []string
	for _, client := range s.opts.Clients() {
		scopes = append(scopes, client.Scopes...)
	}
	slices.Sort(scopes)
	c.Set(fiber.HeaderCacheControl, "public, max-age=300")
	return web.Send(c, fiber.StatusOK, map[string]any{
		"issuer":                                         s.opts.Issuer,
		"authorization_endpoint":                         at("/oauth2/authorize"),
		"token_endpoint":                                 at("/oauth2/token"),
		"revocation_endpoint":                            at("/oauth2/revoke"),
		"introspection_endpoint":                         at("/oauth2/introspect"),
		"jwks_uri":                                       at("/oauth2/jwks"),
		"scopes_supported":                               slices.Compact(scopes),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{grantCode, grantRefresh, grantClient},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          append(methods, "none"),
		"revocation_endpoint_auth_methods_supported":     append(methods, "none"),
		"introspection_endpoint_auth_methods_supported":  methods,
		"authorization_response_iss_parameter_supported": true, // RFC 9207
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
	})
}

// jwks answers GET /oauth2/jwks (RFC 7517). A new key is published longer than this may be kept before it signs.
func (s *Server) jwks(c *fiber.Ctx) error {
	if err := web.Query(c).Err(); err != nil {
		return err
	}
	raw, err := s.opts.Keys.JWKS(web.Context(c))
	if err != nil {
		if errs.KindOf(err) == errs.Unavailable {
			c.Set(fiber.HeaderCacheControl, "no-store")
		}
		return err
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=60")
	c.Set(fiber.HeaderContentType, "application/jwk-set+json")
	return c.Send(raw)
}
