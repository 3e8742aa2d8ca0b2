package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/logs"
)

const (
	// secretsEvery is how soon a new secret of a client counts.
	secretsEvery = 30 * time.Second
	// secretPrefix and a client's id are the name of a field in Vault, which holds its secrets, one a line.
	secretPrefix = "client_secret_"
)

// clientSecrets are hashes of the secrets of OAuth clients, which lie in Vault at secret/souk/users. While Vault is away
// those read last count.
type clientSecrets struct {
	vault  *vaultapi.Client
	log    *slog.Logger
	hashes atomic.Pointer[map[string][][]byte] // by client
}

// newClientSecrets reads them once. That Vault can't be asked at the moment is no error: follow tries again.
func newClientSecrets(ctx context.Context, vault *vaultapi.Client, log *slog.Logger) *clientSecrets {
	s := &clientSecrets{vault: vault, log: log}
	s.hashes.Store(&map[string][][]byte{})
	s.read(ctx)
	return s
}

// of gives SHA-256 hashes of a client's secrets, any of which is good; none for a client that has none.
func (s *clientSecrets) of(client string) [][]byte { return (*s.hashes.Load())[client] }

// follow reads them anew until ctx ends.
func (s *clientSecrets) follow(ctx context.Context) {
	tick := time.NewTicker(secretsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.read(ctx)
		}
	}
}

func (s *clientSecrets) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	secret, err := s.vault.KVv2("secret").Get(ctx, "souk/users")
	if errors.Is(err, vaultapi.ErrSecretNotFound) {
		secret, err = &vaultapi.KVSecret{}, nil
	}
	if err != nil {
		s.log.Warn("the secrets of OAuth clients can't be read; those known count", logs.Err(err))
		return
	}
	hashes := map[string][][]byte{}
	for field, value := range secret.Data {
		client, isSecret := strings.CutPrefix(field, secretPrefix)
		if !isSecret {
			continue
		}
		for line := range strings.Lines(fmt.Sprint(value)) {
			if line = strings.TrimSpace(line); line != "" {
				hash := sha256.Sum256([]byte(line))
				hashes[client] = append(hashes[client], hash[:])
			}
		}
	}
	s.hashes.Store(&hashes)
}
