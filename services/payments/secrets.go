package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/logs"
)

// secretsEvery is how soon a new secret of a provider counts.
const secretsEvery = 30 * time.Second

// secrets of the providers, which lie in Vault at secret/souk/payments: one a line, the one to use first, so that
// another is good while it is rotated. While Vault is away those read last count.
type secrets struct {
	vault  *vaultapi.Client
	log    *slog.Logger
	fields atomic.Pointer[map[string][]string]
}

// newSecrets reads them once. That Vault can't be asked at the moment is no error: follow tries again.
func newSecrets(ctx context.Context, vault *vaultapi.Client, log *slog.Logger) *secrets {
	s := &secrets{vault: vault, log: log}
	s.fields.Store(&map[string][]string{})
	s.read(ctx)
	return s
}

// all gives the secrets of a field; none if there is no such field.
func (s *secrets) all(field string) func() []string {
	return func() []string { return (*s.fields.Load())[field] }
}

// first gives the one to use, or "".
func (s *secrets) first(field string) func() string {
	return func() string {
		if all := s.all(field)(); len(all) > 0 {
			return all[0]
		}
		return ""
	}
}

// follow reads them anew until ctx ends.
func (s *secrets) follow(ctx context.Context) {
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

func (s *secrets) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	secret, err := s.vault.KVv2("secret").Get(ctx, "souk/payments")
	if errors.Is(err, vaultapi.ErrSecretNotFound) {
		secret, err = &vaultapi.KVSecret{}, nil
	}
	if err != nil {
		s.log.Warn("the secrets of payment providers can't be read; those known count", logs.Err(err))
		return
	}
	fields := map[string][]string{}
	for field, value := range secret.Data {
		for line := range strings.Lines(fmt.Sprint(value)) {
			if line = strings.TrimSpace(line); line != "" {
				fields[field] = append(fields[field], line)
			}
		}
	}
	s.fields.Store(&fields)
}
