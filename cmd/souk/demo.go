package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Walk through the shop as a new customer and say what happens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			return a.demo(cmd.Context())
		},
	}
}

// demo leaves nothing behind: its customer leaves the shop at the end.
func (a *app) demo(ctx context.Context) error {
	began := time.Now()
	step := func(format string, args ...any) {
		a.say("  %6s  %s", time.Since(began).Round(time.Millisecond), fmt.Sprintf(format, args...))
	}
	email, password := fmt.Sprintf("visitor-%s@example.com", strings.ToLower(rand.Text()[:8])), rand.Text()
	a.say("A customer's way through the shop:")
	if err := a.register(ctx, email, password, "Val Visitor"); err != nil {
		return err
	}
	step("%s registered and followed the link in the e-mail", email)
	t, err := a.logIn(ctx, email, password)
	if err != nil {
		return err
	}
	step("logged in: session %s, a token for %d s, scopes %s", t.Session, t.Seconds, t.Scope)
	var me person
	customer := a.shopAs(t.Access)
	if err := customer.call(ctx, http.MethodGet, "/v1/users/me", nil, &me); err != nil {
		return err
	}
	step("read the profile: user %s, roles %s", me.ID, strings.Join(me.Roles, " "))
	fresh, err := a.refresh(ctx, t.Refresh)
	if err != nil {
		return err
	}
	step("exchanged the refresh token for new tokens")
	customer = a.shopAs(fresh.Access)
	if err := customer.call(ctx, http.MethodDelete, "/v1/users/me", nil, nil); err != nil {
		return err
	}
	step("left the shop: all personal data is erased, the session is over")
	return nil
}

// refresh exchanges a refresh token of a first-party login (RFC 6749, section 6).
func (a *app) refresh(ctx context.Context, token string) (t tokens, err error) {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {firstPartyClient}, "refresh_token": {token}}
	err = a.shopAs("").post(ctx, "/oauth2/token", form, &t)
	return t, err
}

// firstPartyClient is whom POST /v1/sessions gives tokens to.
const firstPartyClient = "souk"
