package discovery

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	consulapi "github.com/hashicorp/consul/api"
)

// Connect returns a client of the Consul agent that the environment names: CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN_FILE (or consul_token in NOMAD_SECRETS_DIR), CONSUL_CACERT and so on.
// It asks Consul nothing. A token file is read again for every request, as Nomad
// writes a new token there.
func Connect() (*consulapi.Client, error) {
	config := consulapi.DefaultConfig()
	if dir := os.Getenv("NOMAD_SECRETS_DIR"); config.TokenFile == "" && dir != "" {
		if file := filepath.Join(dir, "consul_token"); readable(file) {
			config.TokenFile = file
		}
	}
	if config.TokenFile != "" {
		inner, err := consulapi.NewHttpClient(config.Transport, config.TLSConfig)
		if err != nil {
			return nil, fmt.Errorf("connect to Consul: %w", err)
		}
		inner.Transport = &tokenFile{path: config.TokenFile, next: inner.Transport}
		config.HttpClient = inner
	}
	client, err := consulapi.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("connect to Consul: %w", err)
	}
	return client, nil
}

func readable(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// tokenFile puts the token that a file holds now on every request.
type tokenFile struct {
	path string
	next http.RoundTripper
}

func (t *tokenFile) RoundTrip(req *http.Request) (*http.Response, error) {
	raw, err := os.ReadFile(t.path)
	if token := strings.TrimSpace(string(raw)); err == nil && token != "" {
		req = req.Clone(req.Context())
		req.Header.Set("X-Consul-Token", token)
	}
	return t.next.RoundTrip(req)
}
