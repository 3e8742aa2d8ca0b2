package chaos

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// shop is the REST API at the gateway, for one caller. It never tries again by itself.
type shop struct {
	url    string
	client *http.Client
	token  string
}

func newShop(url string) shop {
	return shop{url: url, client: &http.Client{
		Timeout:   8 * time.Second, // longer than the gateway gives a service
		Transport: &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second},
	}}
}

func (s shop) as(token string) shop { s.token = token; return s }

// call returns the status, 0 without an answer, and the code of a problem.
func (s shop) call(ctx context.Context, method, path string, body, into any, header ...string) (status int, problem string) {
	var reader io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, err.Error()
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, reader)
	if err != nil {
		return 0, err.Error()
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	if res.StatusCode >= 300 {
		var p struct{ Code, Detail string }
		_ = json.Unmarshal(answer, &p)
		return res.StatusCode, p.Code
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			return 0, err.Error() // what was acknowledged can't be told
		}
	}
	return res.StatusCode, ""
}

// insist calls until the answer says what became of it, or ctx ends.
func (s shop) insist(ctx context.Context, method, path string, body, into any, header ...string) error {
	for {
		status, problem := s.call(ctx, method, path, body, into, header...)
		switch outcomeOf(status, problem) {
		case ok:
			return nil
		case refused:
			return fmt.Errorf("%s %s: %d %s", method, path, status, problem)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s %s: %d %s: %w", method, path, status, problem, ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// goods is the SKU that everybody wants.
type goods struct {
	sku   string
	price int64
}

// newGoods makes a product, and waits until inventory has heard of it and has the first pieces.
func newGoods(ctx context.Context, s *stack, shop shop, seed uint64) (goods, error) {
	token, err := s.operator.Token()
	if err != nil {
		return goods{}, err
	}
	operator := shop.as(token.AccessToken)
	var categories struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if err := operator.insist(ctx, http.MethodGet, "/v1/categories", nil, &categories); err != nil || len(categories.Items) == 0 {
		return goods{}, errors.Join(errors.New("the shop has no category"), err)
	}
	g := goods{sku: fmt.Sprintf("chaos-%d-%s", seed, strings.ToLower(rand.Text()[:8])), price: 1290}
	err = operator.insist(ctx, http.MethodPost, "/v1/products", map[string]any{
		"slug": g.sku, "title": "Chaos " + g.sku, "description": "Made by a test.", "brand": "Test", "category_id": categories.Items[0].ID, "status": "active",
		"variants": []any{map[string]any{"sku": g.sku, "price": map[string]any{"amount": g.price, "currency": "EUR"}}},
	}, nil)
	if err != nil {
		return goods{}, err
	}
	for {
		status, problem := operator.call(ctx, http.MethodGet, "/v1/inventory/"+g.sku, nil, nil)
		if status == http.StatusOK {
			return g, nil
		}
		select {
		case <-ctx.Done():
			return goods{}, fmt.Errorf("inventory does not know %s: %d %s", g.sku, status, problem)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// user is a registered customer; several buyers share one, as each password that is hashed costs.
type user struct {
	id    uuid.UUID
	token string
}

const usersAtAll = 20

// newUsers registers customers the way everybody does, follows the links in their e-mails and logs them in.
func newUsers(ctx context.Context, t *testing.T, s *stack, shop shop) []user {
	t.Helper()
	users := make([]user, usersAtAll)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range users {
		g.Go(func() (err error) {
			users[i], err = newUser(ctx, s, shop)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return users
}

func newUser(ctx context.Context, s *stack, shop shop) (u user, err error) {
	login := map[string]string{"email": fmt.Sprintf("chaos-%s@example.com", strings.ToLower(rand.Text()[:12])), "password": rand.Text()}
	register := map[string]string{"email": login["email"], "password": login["password"], "name": "Casey Chaos"}
	if err := shop.insist(ctx, http.MethodPost, "/v1/users", register, nil); err != nil {
		return u, err
	}
	token, err := verification(ctx, s, login["email"])
	if err != nil {
		return u, err
	}
	if err := shop.insist(ctx, http.MethodPost, "/v1/email-verifications", map[string]string{"token": token}, nil); err != nil {
		return u, err
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := shop.insist(ctx, http.MethodPost, "/v1/sessions", login, &tokens); err != nil {
		return u, err
	}
	var me struct {
		ID uuid.UUID `json:"id"`
	}
	u.token = tokens.Access
	err = shop.as(u.token).insist(ctx, http.MethodGet, "/v1/users/me", nil, &me)
	u.id = me.ID
	return u, err
}

var link = regexp.MustCompile(`/account/verify\?token=([A-Za-z0-9_-]+)`)

// verification waits for the e-mail that notifications writes, and gives the token of its link.
func verification(ctx context.Context, s *stack, email string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	seen := map[string]bool{}
	for {
		files, err := filepath.Glob(s.Path("mail", "*.eml"))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			if seen[f] {
				continue
			}
			raw, err := os.ReadFile(f)
			if err != nil {
				continue // notifications tidies up
			}
			seen[f] = true
			// Quoted-printable: soft line breaks, and = as =3D.
			text := strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(string(raw))
			if found := link.FindStringSubmatch(text); found != nil && strings.Contains(text, email) {
				return found[1], nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no e-mail to %s: %w", email, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
