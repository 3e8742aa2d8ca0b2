// Package discovery finds the instances of a service in Consul: once (Resolve) or for
// as long as the program runs (Watch). What it found outlives Consul: while Consul is
// away the last good list serves, also over a restart of the program.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	consulapi "github.com/hashicorp/consul/api"
)

// Instance is one passing instance of a service.
type Instance struct {
	ID      string            `json:"id"`      // as registered; Nomad's hold the allocation's id
	Address string            `json:"address"` // host:port of the service as registered
	Node    string            `json:"node"`
	Tags    []string          `json:"tags,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	Weight  int               `json:"weight"` // Consul's Weights.Passing, at least 1
}

// Options are common to Watch and Resolve. The zero value is usable.
type Options struct {
	// StateDir keeps each service's last good list for a start without Consul. It exists
	// and belongs to this program; empty keeps nothing.
	StateDir string
	Log      *slog.Logger
	// Grace is how long the last good list serves after Consul said, in one answer, that
	// no instance passes: a restarted agent says so until its checks have run again. After
	// it, an answer that is still empty counts. Default 30 s; negative: no grace.
	Grace time.Duration
	// Wait bounds one blocking query, and so how old Age gets while all is well.
	// Default 30 s, at most 10 min.
	Wait time.Duration
	// First bounds how long Watch waits for Consul's first answer before the kept list
	// serves. Default 3 s.
	First time.Duration
	// Patience is how long Resolve waits for a first passing instance. Default: not at all.
	Patience time.Duration
}

const (
	defaultGrace = 30 * time.Second
	defaultWait  = 30 * time.Second
	defaultFirst = 3 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	if o.First <= 0 {
		o.First = defaultFirst
	}
	return o
}

// serviceName is what Consul's DNS interface can serve, and what is safe in a file name.
var serviceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckName refuses a name that no service can have.
func CheckName(service string) error {
	if !serviceName.MatchString(service) {
		return fmt.Errorf("%q is not the name of a service; use lower-case letters, digits and hyphens, at most 63", service)
	}
	return nil
}

// passing asks for the passing instances, sorted by ID. An answer that ACLs emptied is an
// error: a token that lost its rights must not look like a service that is gone.
func passing(ctx context.Context, client *consulapi.Client, service string, q *consulapi.QueryOptions) ([]Instance, uint64, error) {
	entries, meta, err := client.Health().Service(service, "", true, q.WithContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	if len(entries) == 0 && meta.ResultsFilteredByACLs {
		return nil, 0, errors.New("the Consul token may not read this service (service_prefix and node_prefix read)")
	}
	list := make([]Instance, 0, len(entries))
	for _, e := range entries {
		host := e.Service.Address
		if host == "" {
			host = e.Node.Address
		}
		list = append(list, Instance{
			ID: e.Service.ID, Address: net.JoinHostPort(host, strconv.Itoa(e.Service.Port)), Node: e.Node.Node,
			Tags: e.Service.Tags, Meta: e.Service.Meta, Weight: max(e.Service.Weights.Passing, 1),
		})
	}
	// An ID is unique on its node only.
	slices.SortFunc(list, func(a, b Instance) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return strings.Compare(a.Node, b.Node)
	})
	return list, meta.LastIndex, nil
}
