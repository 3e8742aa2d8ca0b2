// Package intentions tells a service who may call it: Consul's service intentions,
// watched while the service runs.
package intentions

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"
	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/discovery"
)

// Options say whose intentions are watched.
type Options struct {
	Consul  *consulapi.Client
	Service string // the destination
	// StateFile keeps the last answer for a start without Consul. Its folder exists.
	StateFile string
	Log       *slog.Logger
}

// Callers is the allow list of one service. While Consul is away the last one holds.
type Callers struct {
	rules atomic.Pointer[[]rule]
}

// rule is one intention for the service, highest precedence first.
type rule struct {
	Source string `json:"source"` // a service, or * for any
	Allow  bool   `json:"allow"`
}

// startLimit bounds how long a start waits for Consul before the kept list serves.
const startLimit = 5 * time.Second

// Watch reads the intentions and follows them until ctx ends. It fails if Consul does
// not answer and no list is kept from before.
func Watch(ctx context.Context, o Options) (*Callers, error) {
	c := &Callers{}
	short, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	rules, seen, err := o.match(short, 0)
	if err != nil {
		kept, keptErr := o.kept()
		if keptErr != nil {
			return nil, fmt.Errorf("intentions for %s: %w (and none are kept from before: %w)", o.Service, err, keptErr)
		}
		o.Log.Error("the intentions kept from before hold", "error", err)
		rules = kept
	} else {
		o.keep(rules)
	}
	c.rules.Store(&rules)
	go c.follow(ctx, o, seen)
	return c, nil
}

// Allows reports whether a service may call. As in Consul, the first intention that
// names it or * decides; without one the answer is no.
func (c *Callers) Allows(caller string) bool {
	for _, r := range *c.rules.Load() {
		if r.Source == caller || r.Source == "*" {
			return r.Allow
		}
	}
	return false
}

func (c *Callers) follow(ctx context.Context, o Options, seen uint64) {
	discovery.Follow(ctx, seen, func(ctx context.Context, seen uint64) (uint64, error) {
		rules, index, err := o.match(ctx, seen)
		if err == nil {
			c.rules.Store(&rules)
			o.keep(rules)
		}
		return index, err
	}, func(err error) { o.Log.Warn("Consul does not answer, the intentions stay as they are", "error", err) })
}

func (o Options) match(ctx context.Context, seen uint64) ([]rule, uint64, error) {
	q := (&consulapi.QueryOptions{WaitIndex: seen, WaitTime: 5 * time.Minute}).WithContext(ctx)
	matches, meta, err := o.Consul.Connect().IntentionMatch(&consulapi.IntentionMatch{
		By: consulapi.IntentionMatchDestination, Names: []string{o.Service},
	}, q)
	if err != nil {
		return nil, 0, err
	}
	rules := []rule{}
	for _, i := range matches[o.Service] {
		// Rules for single paths (Permissions) are not Souk's way: who has them is not let in.
		rules = append(rules, rule{Source: i.SourceName, Allow: i.Action == consulapi.IntentionActionAllow})
	}
	return rules, meta.LastIndex, nil
}

func (o Options) keep(rules []rule) {
	if o.StateFile == "" {
		return
	}
	raw, err := json.Marshal(rules)
	if err == nil {
		err = renameio.WriteFile(o.StateFile, raw, 0o600)
	}
	if err != nil {
		o.Log.Error("the intentions could not be kept for a start without Consul", "file", o.StateFile, "error", err)
	}
}

func (o Options) kept() ([]rule, error) {
	raw, err := os.ReadFile(o.StateFile)
	if err != nil {
		return nil, err
	}
	var rules []rule
	return rules, json.Unmarshal(raw, &rules)
}
