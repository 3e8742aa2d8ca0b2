package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
)

// apps are Souk's own jobs.
var apps = []string{"catalog", "gateway"}

func TestANewVersionOfEachServiceFailsNoRequest(t *testing.T) {
	products := seeded(t)
	for _, job := range apps {
		t.Run(job, func(t *testing.T) {
			before := jobInstances(t, job)
			l := startLoad(t, products)
			time.Sleep(time.Second)
			shell(t, fmt.Sprintf("nomad job run -detach -var %s_release=next-%d nomad/apps/%s.nomad.hcl", job, time.Now().Unix(), job))
			eventually(t, 90*time.Second, "the new version replaces the old", func(ctx context.Context) error {
				for id := range jobInstances(t, job) {
					if before[id] != nil {
						return fmt.Errorf("instance %s of the old version still runs", id[:8])
					}
				}
				return deployer(t).Healthy(ctx, "souk", job)
			})
			time.Sleep(time.Second)
			l.end(t, 0)
		})
	}
	up(t) // the versions of the checkout again
}

func TestAVersionThatDoesNotBecomeHealthyIsTakenBack(t *testing.T) {
	products := seeded(t)
	before := jobInstances(t, "catalog")
	l := startLoad(t, products)
	// It runs, but answers no health check.
	shell(t, "nomad job run -detach -var healthy_deadline=20s -var catalog_program=/bin/cat -var catalog_release=broken nomad/apps/catalog.nomad.hcl")
	eventually(t, 3*time.Minute, "Nomad goes back", func(ctx context.Context) error {
		nomad, err := env.Nomad()
		if err != nil {
			return err
		}
		d, _, err := nomad.Jobs().LatestDeployment("catalog", (&nomadapi.QueryOptions{Namespace: "souk"}).WithContext(ctx))
		if err != nil {
			return err
		}
		job, _, err := nomad.Jobs().Info("catalog", (&nomadapi.QueryOptions{Namespace: "souk"}).WithContext(ctx))
		if err != nil {
			return err
		}
		if job.Meta["release"] == "broken" {
			return fmt.Errorf("the deployment is %s (%s)", d.Status, d.StatusDescription)
		}
		return deployer(t).Healthy(ctx, "souk", "catalog")
	})
	l.end(t, 0)
	for id := range before {
		if jobInstances(t, "catalog")[id] == nil {
			t.Errorf("instance %s, which was healthy, was replaced", id[:8])
		}
	}
	up(t)
}

func TestASecondInstanceSharesTheTrafficAndKillingEitherLosesNothing(t *testing.T) {
	products := seeded(t)
	scaleCatalog(t, 2)
	defer scaleCatalog(t, 1)
	instances := jobInstances(t, "catalog")
	eventually(t, 10*time.Second, "both answer requests", func(context.Context) error {
		before := map[string]float64{}
		for id, e := range instances {
			before[id] = metric(t, adminAddr(e), "http_server_request_duration_seconds_count")
		}
		for i := range 40 {
			if status, _, err := fetch(newClient(), "GET", "/v1/products/"+products[i%len(products)].ID, nil, nil); err != nil || status != 200 {
				return fmt.Errorf("read: %d %v", status, err)
			}
		}
		for id, e := range instances {
			if got := metric(t, adminAddr(e), "http_server_request_duration_seconds_count") - before[id]; got < 10 {
				return fmt.Errorf("of 40 requests instance %s answered %.0f", id[:8], got)
			}
		}
		return nil
	})
	for id := range instances {
		l := startLoad(t, products)
		time.Sleep(time.Second)
		killTask(t, id)
		time.Sleep(2 * time.Second)
		eventually(t, time.Minute, "Nomad starts it again", func(ctx context.Context) error { return deployer(t).Healthy(ctx, "souk", "catalog") })
		time.Sleep(time.Second)
		// Each writer may have had one request in the killed process.
		l.end(t, writers)
	}
}

func TestAServiceStaysWithin40MiB(t *testing.T) {
	products := seeded(t)
	l := startLoad(t, products)
	time.Sleep(5 * time.Second)
	l.end(t, 0)
	for _, job := range apps {
		for id := range jobInstances(t, job) {
			info, err := processWith(t, "NOMAD_ALLOC_ID="+id).MemoryInfo()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %.1f MiB resident", job, float64(info.RSS)/(1<<20))
			if info.RSS > 40<<20 {
				t.Errorf("%s has %.1f MiB resident, want at most 40", job, float64(info.RSS)/(1<<20))
			}
		}
	}
}

// jobInstances maps the allocation of each passing instance to its entry in Consul.
func jobInstances(t *testing.T, job string) map[string]*consulapi.ServiceEntry {
	t.Helper()
	consul, err := env.Consul()
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := consul.Health().Service(job, "", true, (&consulapi.QueryOptions{}).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*consulapi.ServiceEntry{}
	for _, e := range entries {
		// _nomad-task-<allocation>-group-...
		found[strings.TrimPrefix(e.Service.ID, "_nomad-task-")[:36]] = e
	}
	return found
}

func adminAddr(e *consulapi.ServiceEntry) string {
	return e.Service.Address + ":" + e.Service.Meta["metrics_port"]
}

// scaleCatalog does what `nomad job scale` does, with the command itself, and waits.
func scaleCatalog(t *testing.T, count int) {
	t.Helper()
	// Nomad scales no job whose deployment is still under way.
	eventually(t, time.Minute, "Nomad takes the new count", func(context.Context) error {
		out := shell(t, fmt.Sprintf("nomad job scale -detach -namespace=souk catalog %d", count))
		if strings.Contains(out, "Error") {
			return errors.New(out)
		}
		return nil
	})
	eventually(t, time.Minute, fmt.Sprintf("%d instances of the catalogue", count), func(ctx context.Context) error {
		if n := len(jobInstances(t, "catalog")); n != count {
			return fmt.Errorf("%d pass", n)
		}
		return deployer(t).Healthy(ctx, "souk", "catalog")
	})
}

func killTask(t *testing.T, alloc string) {
	t.Helper()
	if err := processWith(t, "NOMAD_ALLOC_ID="+alloc).SendSignal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
