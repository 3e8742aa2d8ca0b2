package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	vaultapi "github.com/hashicorp/vault/api"
)

// secret is all that Vault keeps for a service below the mount secret/, with its version; nothing and 0 before the
// first.
func (a *app) secret(ctx context.Context, service string) (map[string]any, int, error) {
	vault, err := a.hashistack().Vault()
	if err != nil {
		return nil, 0, err
	}
	secret, err := vault.KVv2("secret").Get(ctx, "souk/"+service)
	if errors.Is(err, vaultapi.ErrSecretNotFound) {
		return map[string]any{}, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the secrets of %s from Vault: %w", service, err)
	}
	if secret.Data == nil { // its last version was deleted
		secret.Data = map[string]any{}
	}
	return secret.Data, secret.VersionMetadata.Version, nil
}

// changeSecret writes what change makes of it, unless it says that there is nothing new. Of two that write at once
// Vault refuses the second.
func (a *app) changeSecret(ctx context.Context, service string, change func(data map[string]any) bool) error {
	data, version, err := a.secret(ctx, service)
	if err != nil || !change(data) {
		return err
	}
	vault, err := a.hashistack().Vault()
	if err != nil {
		return err
	}
	if _, err := vault.KVv2("secret").Put(ctx, "souk/"+service, data, vaultapi.WithCheckAndSet(version)); err != nil {
		return fmt.Errorf("write the secrets of %s to Vault: %w", service, err)
	}
	return nil
}

// sandboxSecretField is where payments finds what the sandbox signs its webhooks with.
const sandboxSecretField = "sandbox_webhook_secret"

// ensureSandboxSecret gives the payment sandbox its first.
func (a *app) ensureSandboxSecret(ctx context.Context) error {
	return a.changeSecret(ctx, "payments", func(data map[string]any) bool {
		if data[sandboxSecretField] != nil {
			return false
		}
		data[sandboxSecretField] = rand.Text()
		return true
	})
}
