// Package configstore keeps the services' configuration in Consul's KV store: what an
// environment has, what a push would change, and every revision that was pushed.
package configstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	udiff "github.com/aymanbagabas/go-udiff"
	consulapi "github.com/hashicorp/consul/api"
)

// Store is one environment's configuration.
//
//	souk/<env>/<service>            the document in force
//	souk-history/<env>/<revision>   every push, whole, so that any can be taken back
type Store struct {
	Consul *consulapi.Client
	Env    string
	// Check validates a document against the configuration type of its service.
	Check func(ctx context.Context, service string, document []byte) error
}

// Documents maps a service to its configuration document, YAML.
type Documents map[string]string

// Revision is one push. Services is everything that the environment had after it.
type Revision struct {
	Number   int       `json:"revision"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Message  string    `json:"message"`
	Changed  []string  `json:"changed"`
	Services Documents `json:"services"`
}

// Change is what a push would do to one service's document.
type Change struct {
	Service  string
	Old, New string // "" where there is none
}

// Diff is the change as a unified diff.
func (c Change) Diff() string {
	return udiff.Unified("consul/"+c.Service, "new/"+c.Service, c.Old, c.New)
}

// Plan is the difference between what Consul has and what it should have. It can be
// pushed only while Consul still has what it was made from.
type Plan struct {
	Changes []Change
	// Unmanaged are services that have a document in Consul but none in the plan; Push
	// leaves them alone.
	Unmanaged []string
	// Drifted are services whose document was changed since the last revision by other
	// means than a push.
	Drifted []string

	want    Documents
	have    map[string]*consulapi.KVPair
	history int // the newest revision
}

// ErrChangedMeanwhile says that somebody else pushed since the plan was made.
var ErrChangedMeanwhile = errors.New("the configuration in Consul was changed by somebody else meanwhile: plan again")

func (s *Store) prefix() string  { return "souk/" + s.Env + "/" }
func (s *Store) archive() string { return "souk-history/" + s.Env + "/" }

// Plan checks every document and compares them with Consul. The error joins what is
// wrong with each, one line a problem with the service's name.
func (s *Store) Plan(ctx context.Context, want Documents) (*Plan, error) {
	if err := s.CheckAll(ctx, want); err != nil {
		return nil, err
	}
	pairs, _, err := s.Consul.KV().List(s.prefix(), (&consulapi.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("read the configuration in Consul: %w", err)
	}
	history, err := s.History(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{want: want, have: map[string]*consulapi.KVPair{}}
	var last Documents
	if n := len(history); n > 0 {
		p.history, last = history[n-1].Number, history[n-1].Services
	}
	for _, pair := range pairs {
		name := path.Base(pair.Key)
		p.have[name] = pair
		if _, wanted := want[name]; !wanted {
			p.Unmanaged = append(p.Unmanaged, name)
		}
		if old, pushed := last[name]; pushed && old != string(pair.Value) {
			p.Drifted = append(p.Drifted, name)
		}
	}
	for name, document := range want {
		old := ""
		if pair := p.have[name]; pair != nil {
			old = string(pair.Value)
		}
		if p.have[name] == nil || old != document {
			p.Changes = append(p.Changes, Change{Service: name, Old: old, New: document})
		}
	}
	slices.SortFunc(p.Changes, func(a, b Change) int { return strings.Compare(a.Service, b.Service) })
	return p, nil
}

// CheckAll validates every document; the error has a line a problem, with the document's name.
func (s *Store) CheckAll(ctx context.Context, documents Documents) error {
	var problems []error
	for _, name := range documents.names() {
		if err := s.Check(ctx, name, []byte(documents[name])); err != nil {
			for line := range strings.Lines(err.Error()) {
				problems = append(problems, fmt.Errorf("%s/%s.yaml: %s", s.Env, name, strings.TrimSpace(line)))
			}
		}
	}
	return errors.Join(problems...)
}

func (d Documents) names() []string {
	names := make([]string, 0, len(d))
	for name := range d {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Push writes the plan's changes and the new revision in one transaction, which
// Consul refuses (ErrChangedMeanwhile) if any document or the history is no longer
// what the plan was made from. It returns the revision and the ModifyIndex that every
// changed document then has.
func (s *Store) Push(ctx context.Context, p *Plan, by, message string) (*Revision, uint64, error) {
	r := &Revision{Number: p.history + 1, At: time.Now().UTC().Truncate(time.Second), By: by, Message: message, Services: Documents{}}
	for name, pair := range p.have {
		r.Services[name] = string(pair.Value)
	}
	var ops consulapi.TxnOps
	changed := map[string]bool{}
	for _, c := range p.Changes {
		r.Services[c.Service] = c.New
		r.Changed = append(r.Changed, c.Service)
		changed[c.Service] = true
		var index uint64 // 0: only if there is none
		if pair := p.have[c.Service]; pair != nil {
			index = pair.ModifyIndex
		}
		ops = append(ops, kv(consulapi.KVCAS, s.prefix()+c.Service, []byte(c.New), index))
	}
	for name, pair := range p.have {
		if !changed[name] {
			ops = append(ops, kv(consulapi.KVCheckIndex, s.prefix()+name, nil, pair.ModifyIndex))
		}
	}
	record, err := json.Marshal(r)
	if err != nil {
		return nil, 0, err
	}
	ops = append(ops, kv(consulapi.KVCAS, fmt.Sprintf("%s%06d", s.archive(), r.Number), record, 0))
	ok, res, _, err := s.Consul.Txn().Txn(ops, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, 0, fmt.Errorf("write to Consul: %w", err)
	}
	if !ok {
		for _, e := range res.Errors {
			if !strings.Contains(e.What, "index") { // stale index, or one that should be 0
				return nil, 0, fmt.Errorf("write to Consul: %s", e.What)
			}
		}
		return nil, 0, ErrChangedMeanwhile
	}
	return r, res.Results[0].KV.ModifyIndex, nil
}

func kv(verb consulapi.KVOp, key string, value []byte, index uint64) *consulapi.TxnOp {
	return &consulapi.TxnOp{KV: &consulapi.KVTxnOp{Verb: verb, Key: key, Value: value, Index: index}}
}

// History lists the revisions, oldest first.
func (s *Store) History(ctx context.Context) ([]Revision, error) {
	pairs, _, err := s.Consul.KV().List(s.archive(), (&consulapi.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("read the history in Consul: %w", err)
	}
	revisions := make([]Revision, 0, len(pairs))
	for _, pair := range pairs {
		var r Revision
		if err := json.Unmarshal(pair.Value, &r); err != nil {
			return nil, fmt.Errorf("history entry %s: %w", pair.Key, err)
		}
		revisions = append(revisions, r)
	}
	return revisions, nil
}

// PlanRollback plans the way back to what a revision had for each service, checked
// against the configuration types of today.
func (s *Store) PlanRollback(ctx context.Context, number int) (*Plan, error) {
	history, err := s.History(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range history {
		if r.Number == number {
			return s.Plan(ctx, r.Services)
		}
	}
	return nil, fmt.Errorf("there is no revision %d of %s: `souk config history --env %s` lists them", number, s.Env, s.Env)
}
