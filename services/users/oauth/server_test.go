package oauth

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"souk/services/users/app"
)

func TestTheAuthorizationServer(t *testing.T) {
	h := start(t)
	t.Run("a client library that is not ours does code and PKCE, refresh, and client credentials", h.library)
	t.Run("an access token is as RFC 9068 says", h.claims)
	t.Run("metadata and keys are found", h.discovery)

	t.Run("a reused refresh token revokes the family", h.aReusedRefreshTokenRevokesTheFamily)
	t.Run("a lost answer may be asked for again", h.aLostAnswerMayBeAskedForAgain)
	t.Run("a crash after the rotation loses no session", h.aCrashAfterTheRotationLosesNoSession)
	t.Run("twenty refreshes at once", h.twentyRefreshesAtOnce)
	t.Run("a refresh that races the end of its session leaves nothing", h.aRefreshThatRacesTheEndOfItsSessionLeavesNothing)
	t.Run("a login that races a password change is refused", h.aLoginThatRacesAPasswordChangeIsRefused)
	t.Run("a change of roles counts at once", h.aChangeOfRolesCountsAtOnce)
	t.Run("scopes only get fewer", h.scopesOnlyGetFewer)
	t.Run("another client can't use a refresh token", h.anotherClientCantUseARefreshToken)
	t.Run("revocation ends a token or a session", h.revocationEndsATokenOrASession)
	t.Run("a code is good once", h.aCodeIsGoodOnce)
	t.Run("a transaction that commits late is not skipped", h.aTransactionThatCommitsLateIsNotSkipped)
	t.Run("a verifier learns of a revocation", h.aVerifierLearnsOfARevocation)

	t.Run("what is not the client's redirect URI is never redirected to", h.noForeignRedirect)
	t.Run("faults of a request are told to the client", h.faultsAreToldToTheClient)
	t.Run("a code is for its client, redirect URI and verifier", h.aCodeIsForItsClient)
	t.Run("requests for tokens that are not right are refused", h.hostileTokenRequests)
	t.Run("consent is asked once for a client and scopes", h.consentIsAskedOnce)
	t.Run("forms of others are refused", h.formsOfOthersAreRefused)
	t.Run("a page tells what a login fails of", h.failedLogins)
	t.Run("logging out ends the login in the browser too", h.loggingOutEndsTheBrowsersLogin)
	t.Run("max_age and prompt ask for a new login", h.newLogins)

	t.Run("a new version of the key is published before it signs", h.aNewVersionIsPublishedBeforeItSigns)
	t.Run("without Vault keys stay published and nothing is used up", h.withoutVault)
	t.Run("chromium", h.chromium)
}

func (h *harness) library(t *testing.T) {
	u := h.user(t)
	config, verifier := h.config("shop", loopbackURI, "account", "orders"), oauth2.GenerateVerifier()
	p := h.login(t, h.browser(t), config.AuthCodeURL("a-state", oauth2.S256ChallengeOption(verifier)), u.Email)
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.to.String(), loopbackURI+"?") || p.to.Query().Get("state") != "a-state" || p.to.Query().Get("iss") != h.url {
		t.Fatalf("after the login: %d %s", p.status, p.to)
	}
	token, err := config.Exchange(t.Context(), p.to.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	principal, err := h.verifier.Verify(t.Context(), token.AccessToken)
	if err != nil || principal.User != u.ID || principal.Client != "shop" || !slices.Equal(principal.Scopes, []string{"account", "orders"}) {
		t.Fatalf("%+v, %v", principal, err)
	}
	again, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil || again.RefreshToken == token.RefreshToken || again.AccessToken == token.AccessToken {
		t.Fatalf("refresh: %v", err)
	}
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		for _, secret := range []string{robotSecret, robotSecret2} {
			machine := clientcredentials.Config{ClientID: "robot", ClientSecret: secret, TokenURL: h.url + "/oauth2/token", AuthStyle: style}
			token, err := machine.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			principal, err := h.verifier.Verify(t.Context(), token.AccessToken)
			if err != nil || principal.User != uuid.Nil || principal.Subject != "robot" || !principal.Has("catalog:write") || !principal.Has("inventory:read") {
				t.Errorf("%+v, %v", principal, err)
			}
		}
	}
}

func (h *harness) claims(t *testing.T) {
	u := h.user(t)
	a := h.tokens(t, u)
	if a.Type != "Bearer" || a.Expires != 600 || a.Scope != "account orders" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", a)
	}
	c, err := h.keys.verify(h.url, a.Access)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != u.ID.String() || c.ClientID != "shop" || c.Scope != a.Scope || !slices.Equal(c.Roles, []string{app.Customer}) ||
		c.AuthTime == nil || c.ExpiresAt.Sub(c.IssuedAt.Time) != app.AccessTokenLife || c.NotBefore.After(c.IssuedAt.Time) {
		t.Errorf("%+v", c)
	}
	if id, err := uuid.Parse(c.ID); err != nil || id.Version() != 7 {
		t.Errorf("jti %s", c.ID)
	}
	first, err := h.server.LogIn(t.Context(), u, Device{UserAgent: "test", Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	principal, err := h.verifier.Verify(t.Context(), first.AccessToken)
	if err != nil || principal.Client != FirstParty || principal.Session != first.SessionID {
		t.Errorf("first party: %+v, %v", principal, err)
	}
	if a := h.refresh(t, first.RefreshToken, "client_id", FirstParty); a.status != 200 {
		t.Errorf("refresh of a first-party session: %+v", a)
	}
	sessions, err := h.store.Sessions(t.Context(), u.ID)
	if err != nil || len(sessions) != 2 || sessions[0].UserAgent != "test" || sessions[1].ClientID != "shop" {
		t.Errorf("%+v, %v", sessions, err)
	}
}

func (h *harness) discovery(t *testing.T) {
	b := h.browser(t)
	meta := get(t, b, h.url+"/.well-known/oauth-authorization-server")
	for _, part := range []string{`"issuer":"` + h.url + `"`, `"code_challenge_methods_supported":["S256"]`, `"authorization_response_iss_parameter_supported":true`} {
		if !strings.Contains(meta.body, part) {
			t.Errorf("%s is not in %s", part, meta.body)
		}
	}
	keys := get(t, b, h.url+"/oauth2/jwks")
	if keys.status != 200 || keys.header.Get("Cache-Control") != "public, max-age=60" || !strings.Contains(keys.body, `"alg":"ES256"`) || strings.Contains(keys.body, `"d"`) {
		t.Errorf("%d %v %s", keys.status, keys.header, keys.body)
	}
}
