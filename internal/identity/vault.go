package identity

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

// newVault makes a client that holds no token yet, and tells answered of every
// answer. VAULT_CACERT and its like in the environment count.
func newVault(addr string, answered vaultapi.ResponseCallback) (*vaultapi.Client, error) {
	config := vaultapi.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("identity: Vault's settings in the environment: %w", config.Error)
	}
	config.Address = addr
	config.Timeout = 10 * time.Second
	// Enough to get over a connection that Vault closed; longer waits are the keepers'.
	config.MaxRetries, config.MinRetryWait, config.MaxRetryWait = 2, 50*time.Millisecond, 250*time.Millisecond
	client, err := vaultapi.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("identity: Vault client for %s: %w", addr, err)
	}
	client.ClearToken() // VAULT_TOKEN in a developer's shell is not this service's
	return client.WithResponseCallbacks(answered), nil
}

// explained is an error on one line; what it came from can still be unwrapped.
type explained struct {
	text string
	err  error
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.err }

// explain puts what Vault's client returns, which spreads over lines, on one.
// Neither it nor Vault repeats a token, a JWT or a password in an error.
func explain(err error) error {
	answer := (*vaultapi.ResponseError)(nil)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &answer):
		return explained{oneLine(err.Error()), err}
	case answer.StatusCode == http.StatusServiceUnavailable && strings.Contains(strings.Join(answer.Errors, " "), "sealed"):
		return explained{"Vault is sealed", err}
	}
	path := answer.URL
	if _, after, ok := strings.Cut(path, "/v1/"); ok {
		path = after
	}
	said := strings.Join(answer.Errors, "; ")
	if said == "" {
		said = http.StatusText(answer.StatusCode)
	}
	return explained{oneLine(fmt.Sprintf("Vault answers %d to %s %s: %s", answer.StatusCode, answer.HTTPMethod, path, said)), err}
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + " ..."
	}
	return text
}

// refused reports that Vault looked at the token, or whatever it was given, and
// would not have it; trying the same again is of no use.
func refused(err error) bool {
	answer := (*vaultapi.ResponseError)(nil)
	return errors.As(err, &answer) && answer.StatusCode >= 400 && answer.StatusCode < 500 &&
		answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusPreconditionFailed
}
