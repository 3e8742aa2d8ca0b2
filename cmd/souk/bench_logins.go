package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/expfmt"
	labels "github.com/prometheus/common/model"
	"github.com/spf13/cobra"
)

func benchLoginsCommand() *cobra.Command {
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "logins",
		Short: "Log the example customer in again and again, and show what of it is hashing the password",
		Long: `logins logs the example customer in through the gateway, first one login after the other, then as many at
once as there are cores, and logs out again. What argon2id takes is what users counts itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if duration < time.Second || duration > time.Minute {
				return errors.New("give --duration 1s to 1m")
			}
			a, err := runningApp()
			if err != nil {
				return err
			}
			return a.benchLogins(cmd.Context(), duration)
		},
	}
	cmd.Flags().DurationVar(&duration, "duration", 10*time.Second, "how long each of the two")
	return cmd
}

func (a *app) benchLogins(ctx context.Context, duration time.Duration) error {
	password, err := a.Secret(examplePasswordFile("customer"))
	if err != nil {
		return fmt.Errorf("the example users are not there: `make up` makes them: %w", err)
	}
	email := exampleEmail("customer")
	defer func() { // the sessions are of no use
		if t, err := a.logIn(ctx, email, password); err == nil {
			_ = a.shopAs(t.Access).call(ctx, http.MethodDelete, "/v1/users/me/sessions", nil, nil)
		}
	}()
	a.say("%s", machine())
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "at once\tlogins\ta second\tp50\tp99\targon2id\toutside it\t")
	for _, workers := range []int{1, runtime.NumCPU()} {
		before, err := a.hashing(ctx)
		if err != nil {
			return err
		}
		took, err := repeatedly(ctx, workers, duration, func() error {
			_, err := a.logIn(ctx, email, password)
			return err
		})
		if err != nil {
			return err
		}
		after, err := a.hashing(ctx)
		if err != nil {
			return err
		}
		hash := time.Duration((after.seconds - before.seconds) / (after.hashes - before.hashes) * float64(time.Second))
		var sum time.Duration
		for _, t := range took {
			sum += t
		}
		slices.Sort(took)
		mean := sum / time.Duration(len(took))
		round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
		fmt.Fprintf(w, "%d\t%d\t%.1f\t%s\t%s\t%s\t%.1f %%\t\n", workers, len(took), float64(len(took))/duration.Seconds(),
			round(took[len(took)/2]), round(took[len(took)*99/100]), round(hash), 100*float64(mean-hash)/float64(mean))
	}
	return w.Flush()
}

// repeatedly calls do from so many goroutines for a while, and gives what each call took.
func repeatedly(ctx context.Context, workers int, duration time.Duration, do func() error) (took []time.Duration, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(duration)
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				since := time.Now()
				e := do()
				mu.Lock()
				took, err = append(took, time.Since(since)), errors.Join(err, e)
				failed := err != nil
				mu.Unlock()
				if failed {
					return
				}
			}
		})
	}
	wg.Wait()
	return took, errors.Join(err, ctx.Err())
}

// hashed is what the instances of users have counted.
type hashed struct{ hashes, seconds float64 }

func (a *app) hashing(ctx context.Context) (sum hashed, err error) {
	consul, err := a.hashistack().Consul()
	if err != nil {
		return sum, err
	}
	instances, _, err := consul.Health().Service("users", "", true, nil)
	if err != nil || len(instances) == 0 {
		return sum, errors.Join(errors.New("no instance of users is healthy"), err)
	}
	for _, e := range instances {
		url := "http://" + net.JoinHostPort(e.Service.Address, e.Service.Meta["metrics_port"]) + "/metrics"
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return sum, err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return sum, err
		}
		parser := expfmt.NewTextParser(labels.UTF8Validation)
		families, err := parser.TextToMetricFamilies(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return sum, fmt.Errorf("%s: %w", url, err)
		}
		for name, into := range map[string]*float64{"souk_password_hashes_total": &sum.hashes, "souk_password_hash_seconds_total": &sum.seconds} {
			for _, m := range families[name].GetMetric() {
				*into += m.GetCounter().GetValue()
			}
		}
	}
	return sum, nil
}
