package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// operatorClient is the OAuth client that souk itself is, for what an operator does with the shop.
const operatorClient = "souk-operator"

// shop calls the REST API through the gateway.
type shop struct {
	url  string
	http *http.Client
}

// shopAs is this instance's shop for somebody with an access token; "" is nobody.
func (a *app) shopAs(token string) shop {
	s := shop{url: a.gatewayURL(), http: &http.Client{Timeout: 15 * time.Second}}
	if token != "" {
		s.http.Transport = &oauth2.Transport{Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})}
	}
	return s
}

// shopAsOperator is this instance's shop for souk itself.
func (a *app) shopAsOperator(ctx context.Context) (shop, error) {
	secret, err := a.clientSecret(ctx, operatorClient)
	if err != nil {
		return shop{}, err
	}
	return shopAsClient(ctx, a.gatewayURL(), operatorClient, secret), nil
}

// shopAsClient is a shop for an OAuth client that acts for itself.
func shopAsClient(ctx context.Context, gateway, id, secret string) shop {
	grant := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: gateway + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader}
	client := grant.Client(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Timeout: 15 * time.Second}))
	client.Timeout = 30 * time.Second
	return shop{url: gateway, http: client}
}

// refusal is an answer that is not what was asked for.
type refusal struct {
	method, path string
	status       int
	detail       string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s %s: %d %s", r.method, r.path, r.status, r.detail)
}

// call sends body as JSON, unless it is nil, and reads the answer into `into`, unless that is nil.
func (s shop) call(ctx context.Context, method, path string, body, into any, header ...string) error {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, reader)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.send(req, into)
}

func (s shop) send(req *http.Request, into any) error {
	method, path := req.Method, req.URL.Path
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("the shop at %s: %w", s.url, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		problem := struct {
			Detail string `json:"detail"`
		}{}
		_ = json.Unmarshal(answer, &problem) // it need not be one
		return &refusal{method, path, res.StatusCode, problem.Detail}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// repeated calls again while the service is not there yet, as just after a start; ctx bounds it.
func (s shop) repeated(ctx context.Context, method, path string, body, into any) error {
	for {
		err := s.call(ctx, method, path, body, into)
		r := (*refusal)(nil)
		if err == nil || (errors.As(err, &r) && r.status != http.StatusServiceUnavailable && r.status != http.StatusBadGateway) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}
