package webhooks

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/errs"
)

const (
	transitKey = "souk-webhooks"
	// vaultTimeout is how long Vault may take.
	vaultTimeout = 2 * time.Second
)

// Secrets seals what is shared with receivers by Vault's transit engine: the database has nothing that signs. What was
// opened is remembered, as a delivery must not need Vault each time.
type Secrets struct {
	vault  *vaultapi.Client
	opened *lru.Cache[string, string] // by what is sealed
}

// NewSecrets seals with the service's own Vault client.
func NewSecrets(vault *vaultapi.Client) (*Secrets, error) {
	opened, err := lru.New[string, string](256)
	return &Secrets{vault: vault, opened: opened}, err
}

// Seal implements app.Sealer; errs.Unavailable while Vault can't.
func (s *Secrets) Seal(ctx context.Context, endpoint uuid.UUID, secret string) (string, error) {
	sealed, err := s.ask(ctx, "encrypt", "ciphertext", endpoint, "plaintext", base64.StdEncoding.EncodeToString([]byte(secret)))
	if err != nil {
		err = errs.New(errs.Unavailable, "sealing-unavailable", "secrets can't be kept at the moment; try again").After(2 * time.Second).Because(err)
	}
	return sealed, err
}

// open is the reverse of Seal, for the same endpoint alone.
func (s *Secrets) open(ctx context.Context, endpoint uuid.UUID, sealed string) (string, error) {
	key := endpoint.String() + sealed
	if secret, ok := s.opened.Get(key); ok {
		return secret, nil
	}
	text, err := s.ask(ctx, "decrypt", "plaintext", endpoint, "ciphertext", sealed)
	if err != nil {
		return "", err
	}
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(secret) == 0 {
		return "", errors.New("the secret in Vault's answer can't be read")
	}
	s.opened.Add(key, string(secret))
	return string(secret), nil
}

// ask has Vault do what there is to do with a value that belongs to the endpoint: with another's it fails.
func (s *Secrets) ask(ctx context.Context, action, result string, endpoint uuid.UUID, name, value string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, vaultTimeout)
	defer cancel()
	secret, err := s.vault.Logical().WriteWithContext(ctx, "transit/"+action+"/"+transitKey, map[string]any{
		name: value, "associated_data": base64.StdEncoding.EncodeToString(endpoint[:]),
	})
	if err != nil {
		return "", err
	}
	if secret == nil {
		return "", errors.New("there is nothing in Vault's answer")
	}
	text, _ := secret.Data[result].(string)
	if text == "" {
		return "", errors.New("there is no " + result + " in Vault's answer")
	}
	return text, nil
}
