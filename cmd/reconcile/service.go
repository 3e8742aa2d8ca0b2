package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-json-experiment/json"
)

const (
	answerLimit = 30 * time.Second // for one answer
	answerSize  = 32 << 20         // bytes of one: pageSize orders of a hundred lines take a quarter of it
	patience    = 2 * time.Minute  // that a service may be away: a deploy, a database that starts anew
)

// service asks the instances of one service, over mutual TLS.
type service struct {
	name     string
	find     func(context.Context) ([]string, error) // host:port of its instances now
	client   *http.Client
	patience time.Duration
}

func newService(name string, find func(context.Context) ([]string, error), config *tls.Config) *service {
	return &service{name: name, find: find, patience: patience, client: &http.Client{
		Timeout: answerLimit,
		Transport: &http.Transport{
			TLSClientConfig: config, IdleConnTimeout: 20 * time.Second,
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, TLSHandshakeTimeout: 3 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get reads an answer, of whichever instance gives one; while none does it asks again, for patience at most.
func (s *service) get(ctx context.Context, path string, into any) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(s.patience))
	err := backoff.Retry(func() error {
		instances, err := s.find(ctx)
		if err != nil {
			return err
		}
		if len(instances) == 0 {
			return errors.New("no instance is known")
		}
		for _, at := range instances {
			var final *backoff.PermanentError
			if err = s.getFrom(ctx, "https://"+at+path, into); err == nil || errors.As(err, &final) {
				return err
			}
		}
		return err
	}, backoff.WithContext(pause, ctx))
	if err != nil {
		return fmt.Errorf("ask %s: %w", s.name, err)
	}
	return nil
}

func (s *service) getFrom(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return backoff.Permanent(err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerSize+1))
	switch {
	case res.StatusCode >= 500:
		return fmt.Errorf("%s: %s", req.URL.Path, res.Status)
	case res.StatusCode != http.StatusOK:
		return backoff.Permanent(fmt.Errorf("%s: %s %.300s", req.URL.Path, res.Status, body))
	case err != nil:
		return err
	case len(body) > answerSize:
		return backoff.Permanent(fmt.Errorf("%s: the answer is longer than %d bytes", req.URL.Path, answerSize))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return backoff.Permanent(fmt.Errorf("%s: %w", req.URL.Path, err))
	}
	return nil
}
