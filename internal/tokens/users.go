package tokens

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/discovery"
)

const (
	maxJWKS = 64 << 10 // bytes; a dozen keys have 2 KiB
	maxFeed = 64 << 20 // bytes; some 400,000 revocations within a token's life
)

// fromUsers asks instances of the users service.
type fromUsers struct {
	instances func() []discovery.Instance
	client    *http.Client
}

// FromUsers asks the instances of the users service, one after the other until one
// answers, over mutual TLS: (*discovery.Watcher).Instances and
// (*identity.Certificate).ClientTLS("users").
func FromUsers(instances func() []discovery.Instance, config *tls.Config) Source {
	// An instance that died with its node shows by its silence; a long poll must not wait for it.
	dialer := &net.Dialer{Timeout: time.Second, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}}
	return &fromUsers{instances: instances, client: &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: config, TLSHandshakeTimeout: 3 * time.Second,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: 40 * time.Second, // servers close after 60 s
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// FollowUsers is Open with the users service as the Source: found in Consul, asked with
// the certificate whose ClientTLS this is (identity.Certificate).
func FollowUsers(ctx context.Context, consul *consulapi.Client, clientTLS func(service string) *tls.Config, opts Options) (*Verifier, error) {
	const service = "users"
	watcher, err := discovery.Watch(ctx, consul, service, discovery.Options{StateDir: opts.StateDir, Log: opts.Log})
	if err != nil {
		return nil, err
	}
	opts.Source = FromUsers(watcher.Instances, clientTLS(service))
	return Open(ctx, opts)
}

// JWKS implements Source.
func (u *fromUsers) JWKS(ctx context.Context) ([]byte, error) {
	return u.get(ctx, "/oauth2/jwks", maxJWKS)
}

// Revocations implements Source.
func (u *fromUsers) Revocations(ctx context.Context, after string) (Feed, error) {
	path := "/internal/revocations"
	if after != "" {
		path += "?after=" + url.QueryEscape(after)
	}
	raw, err := u.get(ctx, path, maxFeed)
	if err != nil {
		return Feed{}, err
	}
	var feed Feed
	if err := json.Unmarshal(raw, &feed); err != nil {
		return Feed{}, fmt.Errorf("users gave revocations that can't be read: %w", err)
	}
	return feed, nil
}

// get asks instances in turn, from a random one on, so that they share the work.
func (u *fromUsers) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	instances := u.instances()
	if len(instances) == 0 {
		return nil, errors.New("no instance of users is known")
	}
	var failed error
	start := rand.IntN(len(instances))
	for i := range instances {
		raw, err := u.ask(ctx, instances[(start+i)%len(instances)].Address, path, limit)
		if err == nil {
			return raw, nil
		}
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func (u *fromUsers) ask(ctx context.Context, address, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("users at %s answers %s", address, res.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("users at %s answers more than %d bytes", address, limit)
	}
	return raw, nil
}
