package configstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/configstore"
	"souk/internal/testenv"
)

// store is an environment of the test's own on the real Consul. Documents that hold
// "bad" are invalid.
func store(t *testing.T) *configstore.Store {
	t.Helper()
	consul, err := testenv.Start(t).Consul()
	if err != nil {
		t.Fatal(err)
	}
	s := &configstore.Store{Consul: consul, Env: fmt.Sprintf("test-%d", time.Now().UnixNano()),
		Check: func(_ context.Context, _ string, document []byte) error {
			if strings.Contains(string(document), "bad") {
				return errors.New("line 1: bad\nline 2: worse")
			}
			return nil
		}}
	t.Cleanup(func() {
		for _, prefix := range []string{"souk/" + s.Env, "souk-history/" + s.Env} {
			if _, err := consul.KV().DeleteTree(prefix, nil); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func push(t *testing.T, s *configstore.Store, want configstore.Documents) *configstore.Revision {
	t.Helper()
	p, err := s.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := s.Push(t.Context(), p, "tester", "test")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func inConsul(t *testing.T, s *configstore.Store) string {
	t.Helper()
	pairs, _, err := s.Consul.KV().List("souk/"+s.Env+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range pairs {
		all = append(all, strings.TrimPrefix(p.Key, "souk/"+s.Env+"/")+"="+string(p.Value))
	}
	return strings.Join(all, " ")
}

func TestAPushWritesWhatDiffersAndIsTakenBackByARollback(t *testing.T) {
	s := store(t)
	push(t, s, configstore.Documents{"catalog": "c1", "gateway": "g1"})
	second := push(t, s, configstore.Documents{"catalog": "c2", "gateway": "g1"})
	if second.Number != 2 || fmt.Sprint(second.Changed) != "[catalog]" {
		t.Errorf("the second revision is %+v", second)
	}
	push(t, s, configstore.Documents{"catalog": "c2", "gateway": "g3"})
	if got := inConsul(t, s); got != "catalog=c2 gateway=g3" {
		t.Fatalf("Consul has %s", got)
	}
	p, err := s.PlanRollback(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Push(t.Context(), p, "tester", "back"); err != nil {
		t.Fatal(err)
	}
	if got := inConsul(t, s); got != "catalog=c1 gateway=g1" {
		t.Errorf("after the rollback Consul has %s", got)
	}
	history, err := s.History(t.Context())
	if err != nil || len(history) != 4 || history[3].Message != "back" || history[3].By != "tester" {
		t.Errorf("history: %+v, %v", history, err)
	}
	p, err = s.Plan(t.Context(), configstore.Documents{"catalog": "c1", "gateway": "g1"})
	if err != nil || len(p.Changes) != 0 {
		t.Errorf("the same again: %+v, %v", p.Changes, err)
	}
	if _, err := s.PlanRollback(t.Context(), 9); err == nil || !strings.Contains(err.Error(), "no revision 9") {
		t.Errorf("a rollback to a revision that never was: %v", err)
	}
}

func TestAnInvalidDocumentStopsTheWholePush(t *testing.T) {
	s := store(t)
	push(t, s, configstore.Documents{"catalog": "c1", "gateway": "g1"})
	_, err := s.Plan(t.Context(), configstore.Documents{"catalog": "c2", "gateway": "bad"})
	if err == nil || !strings.Contains(err.Error(), s.Env+"/gateway.yaml: line 1: bad\n") || !strings.Contains(err.Error(), "gateway.yaml: line 2: worse") {
		t.Errorf("got %v", err)
	}
	if got := inConsul(t, s); got != "catalog=c1 gateway=g1" {
		t.Errorf("Consul has %s", got)
	}
}

func TestOfManyPushesAtOnceOneWinsAndTheOthersMustPlanAgain(t *testing.T) {
	s := store(t)
	push(t, s, configstore.Documents{"catalog": "c0", "gateway": "g0"})
	const rivals = 20
	plans := make([]*configstore.Plan, rivals)
	for i := range plans {
		p, err := s.Plan(t.Context(), configstore.Documents{"catalog": fmt.Sprintf("c%d", i+1), "gateway": "g0"})
		if err != nil {
			t.Fatal(err)
		}
		plans[i] = p
	}
	var mu sync.Mutex
	var won []int
	var wg sync.WaitGroup
	for i, p := range plans {
		wg.Go(func() {
			_, _, err := s.Push(t.Context(), p, "rival", "")
			if errors.Is(err, configstore.ErrChangedMeanwhile) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, i+1)
			if err != nil {
				t.Errorf("rival %d: %v", i+1, err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || inConsul(t, s) != fmt.Sprintf("catalog=c%d gateway=g0", won[0]) {
		t.Errorf("winners %v, Consul has %s", won, inConsul(t, s))
	}
}

func TestAChangeByHandIsSeenAndMakesAnOlderPlanFail(t *testing.T) {
	s := store(t)
	push(t, s, configstore.Documents{"catalog": "c1", "gateway": "g1"})
	p, err := s.Plan(t.Context(), configstore.Documents{"catalog": "c2", "gateway": "g1"})
	if err != nil {
		t.Fatal(err)
	}
	// The plan does not touch gateway, but its revision would record it.
	for key, value := range map[string]string{"gateway": "by hand", "orders": "no file"} {
		if _, err := s.Consul.KV().Put(&consulapi.KVPair{Key: "souk/" + s.Env + "/" + key, Value: []byte(value)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Push(t.Context(), p, "tester", ""); !errors.Is(err, configstore.ErrChangedMeanwhile) {
		t.Errorf("the older plan: %v", err)
	}
	p, err = s.Plan(t.Context(), configstore.Documents{"catalog": "c2", "gateway": "g1"})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(p.Drifted, p.Unmanaged) != "[gateway] [orders]" || len(p.Changes) != 2 {
		t.Errorf("drifted %v, unmanaged %v, changes %d", p.Drifted, p.Unmanaged, len(p.Changes))
	}
	if diff := p.Changes[1].Diff(); !strings.Contains(diff, "-by hand") || !strings.Contains(diff, "+g1") {
		t.Errorf("the diff is %q", diff)
	}
}
