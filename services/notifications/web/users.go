// Package web asks users, over HTTP with mutual TLS, for what a mail needs when it is sent. The service itself serves
// no requests.
package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/logs"
	"souk/services/notifications/app"
)

const (
	askLimit   = 5 * time.Second // for one answer
	answerSize = 1 << 20         // of hundreds of contacts
)

// Users is app.Users.
type Users struct {
	instances func() []string
	client    *http.Client
	next      atomic.Uint64
}

// NewUsers asks one of the instances (host:port) after the other; tlsConfig is that of calls to users.
func NewUsers(instances func() []string, tlsConfig *tls.Config) *Users {
	return &Users{instances: instances, client: &http.Client{
		Timeout: askLimit,
		Transport: &http.Transport{
			TLSClientConfig: tlsConfig, ForceAttemptHTTP2: false, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, TLSHandshakeTimeout: 3 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close gives up idle connections.
func (u *Users) Close(context.Context) error {
	u.client.CloseIdleConnections()
	return nil
}

// Mail implements app.Users with POST /internal/mails/{id}.
func (u *Users) Mail(ctx context.Context, id uuid.UUID) (app.Content, error) {
	var answer struct {
		Kind      app.Kind   `json:"kind"`
		To        string     `json:"to"`
		Name      string     `json:"name"`
		Locale    string     `json:"locale"`
		Link      string     `json:"link"`
		ExpiresAt *time.Time `json:"expires_at"`
	}
	if err := u.ask(ctx, http.MethodPost, "/internal/mails/"+id.String(), nil, &answer); err != nil {
		return app.Content{}, err
	}
	content := app.Content{Kind: answer.Kind, To: answer.To, Name: answer.Name, Locale: answer.Locale, Link: answer.Link}
	if answer.ExpiresAt != nil {
		content.ExpiresAt = *answer.ExpiresAt
	}
	return content, nil
}

// Contacts implements app.Users with POST /internal/contacts.
func (u *Users) Contacts(ctx context.Context, users []uuid.UUID) (map[uuid.UUID]app.Content, error) {
	var answer struct {
		Contacts []struct {
			ID     uuid.UUID `json:"id"`
			Email  string    `json:"email"`
			Name   string    `json:"name"`
			Locale string    `json:"locale"`
		} `json:"contacts"`
	}
	err := u.ask(ctx, http.MethodPost, "/internal/contacts", map[string]any{"ids": users}, &answer)
	if errors.Is(err, app.ErrGone) { // the route, of an older version
		err = &app.Failure{Reason: "users-answers 404", Down: true, Waits: true}
	}
	if err != nil {
		return nil, err
	}
	contacts := make(map[uuid.UUID]app.Content, len(answer.Contacts))
	for _, c := range answer.Contacts {
		contacts[c.ID] = app.Content{To: c.Email, Name: c.Name, Locale: c.Locale}
	}
	return contacts, nil
}

// ask tries each instance once, as long as there is no answer. An answer that is lost costs one more link.
func (u *Users) ask(ctx context.Context, method, path string, question, answer any) error {
	var body []byte
	if question != nil {
		var err error
		if body, err = json.Marshal(question); err != nil {
			return err
		}
	}
	instances := u.instances()
	err := error(&app.Failure{Reason: "users-away", Said: "no instance is known", Down: true, Waits: true})
	first := u.next.Add(1)
	for i := range instances {
		var answered bool
		answered, err = u.askOne(ctx, method, "https://"+instances[(first+uint64(i))%uint64(len(instances))]+path, body, answer)
		if answered || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (u *Users) askOne(ctx context.Context, method, url string, question []byte, answer any) (answered bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(question))
	if err != nil {
		return true, err
	}
	if question != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if t, ok := logs.TraceFrom(ctx); ok {
		req.Header.Set("traceparent", t.Traceparent())
	}
	res, err := u.client.Do(req)
	if err != nil {
		return false, &app.Failure{Reason: "users-away", Said: err.Error(), Down: true, Waits: true}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerSize+1))
	switch status := res.StatusCode; {
	case status == http.StatusNotFound, status == http.StatusGone:
		return true, app.ErrGone
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests, status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return false, &app.Failure{Reason: "users-away", Said: res.Status, Down: true, Waits: true}
	case status != http.StatusOK:
		return true, &app.Failure{Reason: fmt.Sprintf("users-answers %d", status), Down: status != http.StatusInternalServerError}
	case err != nil:
		return false, &app.Failure{Reason: "users-away", Said: err.Error(), Down: true, Waits: true}
	case len(body) > answerSize:
		err = errors.New("too long")
	default:
		err = json.Unmarshal(body, answer)
	}
	if err != nil { // whose text may hold what was read
		return true, &app.Failure{Reason: "users-answers nonsense"}
	}
	return true, nil
}
