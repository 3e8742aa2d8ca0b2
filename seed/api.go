package seed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Client says where the shop is.
type Client struct {
	BaseURL string       // of the gateway: "http://127.0.0.1:20000"
	HTTP    *http.Client // nil: one of its own

	patience time.Duration // how long one request is repeated; 0: patience
}

const (
	patience = 30 * time.Second // how long one request is repeated
	oneTry   = 15 * time.Second // how long one answer may take
	maxBody  = 64 << 20         // of an answer; a page of 100 products is far below
)

// api makes requests, and repeats those that may do better the next time.
type api struct {
	base     string
	http     *http.Client
	patience time.Duration
}

func (c Client) open() (*api, error) {
	u, err := url.Parse(c.BaseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of a gateway: it must be like http://127.0.0.1:20000", c.BaseURL)
	}
	a := &api{base: strings.TrimRight(u.String(), "/"), http: c.HTTP, patience: c.patience}
	if a.http == nil {
		a.http = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: parallel, IdleConnTimeout: time.Minute,
		}}
	}
	if a.patience == 0 {
		a.patience = patience
	}
	return a, nil
}

// get reads a resource into `into`.
func (a *api) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	answer, err := a.do(ctx, request{method: http.MethodGet, path: path, want: http.StatusOK})
	if err != nil {
		return err
	}
	return answer.read(into)
}

// create posts an object of a kind ("product"). The Idempotency-Key is made from the
// object's slug and contents: a repeated request has the same key, and a later version
// of the data is another request. replayed: an earlier request had created it.
func (a *api) create(ctx context.Context, path, kind, slug string, object, into any) (replayed bool, err error) {
	body, err := json.Marshal(object)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(body)
	answer, err := a.do(ctx, request{
		method: http.MethodPost, path: path, want: http.StatusCreated, body: body,
		key: "souk-seed:" + kind + ":" + slug + ":" + hex.EncodeToString(sum[:8]),
	})
	if err != nil {
		return false, err
	}
	return strings.EqualFold(answer.header.Get("Idempotent-Replayed"), "true"), answer.read(into)
}

type request struct {
	method, path string
	want         int // status of success
	key          string
	body         []byte
}

type answer struct {
	header http.Header
	body   []byte
}

func (a answer) read(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("the answer is not the JSON that was expected: %w", err)
	}
	return nil
}

// do repeats a request until it is answered for good, the context ends, or patience
// does. Every request here may be repeated: it reads, or has a key.
func (a *api) do(ctx context.Context, r request) (answer, error) {
	p := &pace{BackOff: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(3*time.Second), backoff.WithMaxElapsedTime(0),
	), until: time.Now().Add(a.patience)}
	got, err := backoff.RetryWithData(func() (answer, error) {
		p.tries++
		got, err := a.once(ctx, r)
		if no := (*refusal)(nil); errors.As(err, &no) {
			if !no.passing() {
				return answer{}, backoff.Permanent(err)
			}
			p.asked = no.after
		}
		return got, err
	}, backoff.WithContext(p, ctx))
	if err != nil && p.over {
		err = fmt.Errorf("%w (tries: %d)", err, p.tries)
	}
	return got, err
}

// pace is how long to wait between tries: as long as the server asks, else a little
// longer each time.
type pace struct {
	backoff.BackOff
	asked time.Duration // by Retry-After of the last answer
	until time.Time
	tries int
	over  bool // until would pass
}

func (p *pace) NextBackOff() time.Duration {
	wait := max(p.BackOff.NextBackOff(), p.asked)
	p.asked = 0
	if p.over = time.Now().Add(wait).After(p.until); p.over {
		return backoff.Stop
	}
	return wait
}

// once makes one try. An answer that breaks off is as good as none.
func (a *api) once(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, a.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, backoff.Permanent(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "souk-seed")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", r.key)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return answer{}, backoff.Permanent(fmt.Errorf("%s %s: the answer is longer than %d bytes", r.method, req.URL, maxBody))
	}
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: the answer broke off: %w", r.method, req.URL, err)
	}
	if resp.StatusCode != r.want {
		return answer{}, refused(resp, body)
	}
	return answer{header: resp.Header, body: body}, nil
}
