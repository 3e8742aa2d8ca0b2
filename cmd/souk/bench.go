package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// benchLimits keep a mistyped flag from becoming a flood.
const (
	benchMaxRate     = 5000
	benchMaxDuration = 5 * time.Minute
)

func benchCommand() *cobra.Command {
	var rate int
	var duration time.Duration
	var gateway string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Read the catalogue through the gateway at a fixed rate and show the latencies",
		Long: `bench sends requests at a fixed rate whatever the answers take (an open model, so a slow answer
hides nothing): 7 of 10 for one product, 3 of 10 for a page of a category, drawn with a fixed seed.
It only speaks to loopback.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rate < 1 || rate > benchMaxRate || duration < time.Second || duration > benchMaxDuration {
				return fmt.Errorf("give --rate 1 to %d and --duration 1s to %s", benchMaxRate, benchMaxDuration)
			}
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			if gateway == "" {
				gateway = a.gatewayURL()
			}
			if u, err := url.Parse(gateway); err != nil || u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" && u.Hostname() != "::1" {
				return fmt.Errorf("--gateway %s: load goes to loopback only", gateway)
			}
			return a.bench(cmd.Context(), gateway, rate, duration)
		},
	}
	cmd.AddCommand(benchLoginsCommand(), benchOrdersCommand())
	cmd.Flags().IntVar(&rate, "rate", 500, "requests a second")
	cmd.Flags().DurationVar(&duration, "duration", 20*time.Second, "how long")
	cmd.Flags().StringVar(&gateway, "gateway", "", "URL of the gateway (default: this instance's)")
	return cmd
}

func (a *app) gatewayURL() string { return fmt.Sprintf("http://127.0.0.1:%d", a.Ports.Gateway) }

func (a *app) bench(ctx context.Context, gateway string, rate int, duration time.Duration) error {
	targets, err := benchTargets(ctx, gateway)
	if err != nil {
		return err
	}
	pace := vegeta.Rate{Freq: rate, Per: time.Second}
	// Caches and the JIT of a Java server are not what is measured.
	attack(ctx, targets, pace, 3*time.Second)
	m := attack(ctx, targets, pace, duration)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	a.say("%s", machine())
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "reads of\trequests\tsucceeded\tp50\tp95\tp99\tmax\t")
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	for _, row := range []struct {
		name string
		of   vegeta.Metrics
	}{{"one product", m.product}, {"a page", m.page}, {fmt.Sprintf("both, %.0f/s", m.all.Rate), m.all}} {
		l := row.of.Latencies
		fmt.Fprintf(w, "%s\t%d\t%.3f %%\t%s\t%s\t%s\t%s\t\n", row.name, row.of.Requests, 100*row.of.Success, round(l.P50), round(l.P95), round(l.P99), round(l.Max))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if m.all.Success < 1 {
		return fmt.Errorf("requests failed: status codes %v, %s", m.all.StatusCodes, strings.Join(m.all.Errors, ", "))
	}
	return nil
}

// latencies are what an attack measured, by kind of request.
type latencies struct{ all, product, page vegeta.Metrics }

func attack(ctx context.Context, targets vegeta.Targeter, pace vegeta.Pacer, duration time.Duration) *latencies {
	attacker := vegeta.NewAttacker(vegeta.Timeout(5*time.Second), vegeta.Workers(32), vegeta.MaxWorkers(256), vegeta.Redirects(vegeta.NoFollow))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	m := &latencies{}
	for r := range attacker.Attack(targets, pace, duration, "") {
		m.all.Add(r)
		if strings.Contains(r.URL, "?") {
			m.page.Add(r)
		} else {
			m.product.Add(r)
		}
	}
	m.all.Close()
	m.product.Close()
	m.page.Close()
	return m
}

// benchTargets draws from what the shop has.
func benchTargets(ctx context.Context, gateway string) (vegeta.Targeter, error) {
	var products, categories struct {
		Items []struct {
			ID     string  `json:"id"`
			Slug   string  `json:"slug"`
			Parent *string `json:"parent_id"`
		} `json:"items"`
	}
	for path, into := range map[string]any{"/v1/products?limit=100": &products, "/v1/categories": &categories} {
		if err := getJSON(ctx, gateway+path, into); err != nil {
			return nil, err
		}
	}
	if len(products.Items) == 0 || len(categories.Items) == 0 {
		return nil, errors.New("the shop is empty: `souk seed` fills it")
	}
	var mu sync.Mutex // vegeta's workers draw at the same time
	draw := rand.New(rand.NewPCG(1, 2))
	return func(t *vegeta.Target) error {
		mu.Lock()
		defer mu.Unlock()
		t.Method = http.MethodGet
		if draw.IntN(10) < 7 {
			t.URL = gateway + "/v1/products/" + products.Items[draw.IntN(len(products.Items))].ID
		} else {
			t.URL = gateway + "/v1/products?limit=20&category=" + categories.Items[draw.IntN(len(categories.Items))].Slug
		}
		return nil
	}, nil
}

func getJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the gateway does not answer: %w: `make up` starts it", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}
