package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

// token is the Vault token's life: renewed while Vault has it, got anew with the
// then current JWT when it is dead or nears an end that renewing can't move.
type token struct {
	*keeper
	id   *Identity
	full time.Duration // its life when it was new; zero before the first login
}

// renew is also the check whether the token still lives: renewing a live one
// harms nothing.
func (t *token) renew(ctx context.Context) (time.Duration, error) {
	if t.full == 0 {
		return t.login(ctx)
	}
	secret, err := t.id.vault.Auth().Token().RenewSelfWithContext(ctx, 0)
	switch {
	case refused(err):
		t.log.Info("the token is gone, logging in again", "reason", explain(err).Error())
		return t.login(ctx)
	case err != nil:
		return 0, explain(err)
	}
	life, err := secret.TokenTTL()
	if err != nil || life < t.full*9/10 { // less than before: an end that renewing won't move is near
		t.log.Info("the token nears its end, logging in again")
		return t.login(ctx)
	}
	return life, nil
}

func (t *token) login(ctx context.Context) (time.Duration, error) {
	jwt, err := os.ReadFile(t.id.opts.JWTFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf(`there is no %s: the task needs identity { name = "vault", aud = ["vault.io"], file = true }`, t.id.opts.JWTFile)
	case err != nil:
		return 0, err
	}
	path := "auth/" + t.id.opts.AuthMount + "/login"
	secret, err := t.id.vault.Logical().WriteWithContext(ctx, path, map[string]any{"role": t.id.opts.Role, "jwt": strings.TrimSpace(string(jwt))})
	if err != nil {
		return 0, explain(err)
	}
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" || secret.Auth.LeaseDuration <= 0 {
		return 0, fmt.Errorf("the answer of Vault to %s holds no token that lasts", path)
	}
	again := t.full != 0
	t.full = time.Duration(secret.Auth.LeaseDuration) * time.Second
	t.id.vault.SetToken(secret.Auth.ClientToken)
	t.log.Info("logged in to Vault", "life", t.full.String(), "policies", secret.Auth.Policies)
	if again {
		// Leases die with the token that they were got with.
		for _, k := range t.id.held() {
			if k.kind == kindLease {
				k.now()
			}
		}
	}
	return t.full, nil
}

// answered sees every answer of Vault. A refusal may mean that the token is dead:
// have a look, unless it is the look itself that was refused.
func (id *Identity) answered(r *vaultapi.Response) {
	if r == nil || r.Response == nil || r.StatusCode != http.StatusForbidden || r.Request == nil {
		return
	}
	if path := r.Request.URL.Path; strings.HasSuffix(path, "/auth/token/renew-self") || strings.HasSuffix(path, "/login") {
		return
	}
	id.token.suspect()
}
