package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	httpserver "souk/internal/web"
	"souk/services/catalog/app"
	"souk/services/catalog/web"
)

// certificate names a service as Souk's own do; that they are verified is for tests of identity.
func certificate(t testing.TB, service string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{service + ".souk.internal"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "souk", Path: "/" + service}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS is the catalogue as services see it; the clients show the certificate of one, or none.
func serveTLS(t testing.TB, catalog *app.Catalog, callers ...string) (at string, clients []*http.Client) {
	t.Helper()
	server := httpserver.New(httpserver.Options{Service: "catalog", Log: slog.New(slog.DiscardHandler), DrainDelay: time.Millisecond})
	web.Routes(server.App(), catalog, nil, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate(t, "catalog")}, ClientAuth: tls.RequestClientCert}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, tls.NewListener(l, own)) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	for _, caller := range callers {
		config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // identity has tests of its own
		if caller != "" {
			config.Certificates = []tls.Certificate{certificate(t, caller)}
		}
		transport := &http.Transport{TLSClientConfig: config}
		t.Cleanup(transport.CloseIdleConnections)
		clients = append(clients, &http.Client{Transport: transport, Timeout: 10 * time.Second})
	}
	return "https://" + l.Addr().String(), clients
}

func TestPricesAreForOrdersAlone(t *testing.T) {
	catalog := app.New(newStore(t), settings)
	a := serveOn(t, catalog)
	shirt := decode[app.Product](t, a.want(201, call{method: "POST", path: "/v1/products", body: `{"slug":"shirt","title":"Shirt","status":"active",
		"options":[{"name":"size","values":["S","M"]}],"variants":[
		{"sku":"SHIRT-S","title":"S","options":{"size":"S"},"price":{"amount":4900,"currency":"EUR"}},
		{"sku":"SHIRT-M","title":"M","options":{"size":"M"},"price":{"amount":5100,"currency":"EUR"}}]}`}).body)
	lamp := a.product("lamp")
	a.want(201, call{method: "POST", path: "/v1/products", body: strings.Replace(productBody("draft"), "active", "draft", 1)})

	at, clients := serveTLS(t, catalog, "orders", "gateway", "")
	internal := &api{t: t, issuer: a.issuer, url: at}
	ask := func(client *http.Client, body string, wrong bool) answer {
		t.Helper()
		request, err := http.NewRequest("POST", at+"/internal/prices", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", httpserver.JSONType)
		return internal.send(client, request, call{method: "POST", path: "/internal/prices", body: body, wrong: wrong})
	}
	prices := func(skus ...string) []app.Offer {
		t.Helper()
		got := ask(clients[0], `{"skus":["`+strings.Join(skus, `","`)+`"]}`, false)
		if got.StatusCode != 200 {
			t.Fatalf("%s %s", got.Status, got.body)
		}
		offers := decode[struct {
			Prices []app.Offer `json:"prices"`
		}](t, got.body).Prices
		slices.SortFunc(offers, func(x, y app.Offer) int { return strings.Compare(x.SKU, y.SKU) })
		return offers
	}
	t.Run("each SKU once, without those that were not asked for or do not exist", func(t *testing.T) {
		want := []app.Offer{
			{SKU: "SHIRT-M", ProductID: shirt.ID, Version: 1, Name: "Shirt, M", Price: shirt.Variants[1].Price, Active: true},
			{SKU: "draft", Name: "draft", Version: 1, Price: lamp.Variants[0].Price},
			{SKU: "lamp", ProductID: lamp.ID, Version: 1, Name: "lamp", Price: lamp.Variants[0].Price, Active: true},
		}
		got := prices("lamp", "SHIRT-M", "SHIRT-M", "nothing", "draft", "$ne", "shirt-m")
		if len(got) == 3 {
			want[1].ProductID = got[1].ProductID
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := prices("nothing"); len(got) != 0 {
			t.Errorf("of nothing: %+v", got)
		}
	})
	t.Run("a change shows at once", func(t *testing.T) {
		body := `{"title":"Lamp","variants":[{"sku":"lamp","price":{"amount":1,"currency":"USD"}}]}`
		a.want(200, call{method: "PATCH", path: "/v1/products/" + lamp.ID, body: body, headers: ifMatch("*")})
		if got := prices("lamp"); len(got) != 1 || got[0].Price.Minor != 1 || got[0].Price.Currency != "USD" || got[0].Version != 2 || got[0].Name != "Lamp" {
			t.Errorf("%+v", got)
		}
		a.want(204, call{method: "DELETE", path: "/v1/products/" + lamp.ID, headers: ifMatch("*")})
		if got := prices("lamp"); len(got) != 1 || got[0].Active {
			t.Errorf("archived: %+v", got)
		}
	})
	t.Run("nobody else asks, and nothing else is asked", func(t *testing.T) {
		for i, want := range []int{200, 403, 401} {
			if got := ask(clients[i], `{"skus":["lamp"]}`, false); got.StatusCode != want {
				t.Errorf("caller %d: %s %s", i, got.Status, got.body)
			}
		}
		for body, want := range map[string]int{
			`{}`: 422, `{"skus":[]}`: 422, `{"skus":["` + strings.Repeat(`a","`, app.MaxOffers) + `a"]}`: 422,
			`{"skus":{"$ne":""}}`: 400, `{"skus":[{"$ne":""}]}`: 400, `{"skus":[1]}`: 400, `{"skus":["a"],"all":true}`: 400, `{"skus":["a"],"skus":["b"]}`: 400,
		} {
			if got := ask(clients[0], body, true); got.StatusCode != want {
				t.Errorf("%.60s: %s, want %d: %s", body, got.Status, want, got.body)
			}
		}
	})
}
