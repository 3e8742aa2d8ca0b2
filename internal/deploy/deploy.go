// Package deploy submits job files to Nomad with its own command-line tool, as
// an operator would, and waits until what they start is healthy.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
)

// Deployer talks to one instance's Nomad and Consul.
type Deployer struct {
	Program string   // the nomad command-line tool
	Env     []string // its environment: address, token, NOMAD_VAR_*
	Nomad   *nomadapi.Client
	Consul  *consulapi.Client
}

// Run submits a job file unless Nomad runs it already just so, and reports
// whether it did.
func (d *Deployer) Run(ctx context.Context, file string) (changed bool, err error) {
	if err = d.nomad(ctx, "job", "plan", "-no-color", file); err == nil {
		return false, nil
	}
	// Exit code 1 says that allocations would be created or destroyed.
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		return false, err
	}
	err = d.nomad(ctx, "job", "run", "-detach", file)
	return err == nil, err
}

func (d *Deployer) nomad(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, d.Program, args...)
	cmd.Env = d.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("nomad %s %s %s: %w: %s", args[0], args[1], filepath.Base(args[len(args)-1]), err, oneLine(string(out)))
	}
	return nil
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 400 {
		text = text[:400] + " ..."
	}
	return text
}

// Await waits until the newest version of a service job has all its allocations
// running, their post-start tasks done, and every Consul check of theirs passing.
func (d *Deployer) Await(ctx context.Context, namespace, job string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := d.Healthy(ctx, namespace, job)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("interrupted while waiting for job %s", job)
			}
			return fmt.Errorf("job %s is not healthy after %s: %w", job, limit, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// AwaitDeployment waits until Nomad's newest deployment of a job has ended well, and
// fails as soon as one has not. A job that was only registered has none.
func (d *Deployer) AwaitDeployment(ctx context.Context, namespace, job string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		newest, _, err := d.Nomad.Jobs().LatestDeployment(job, (&nomadapi.QueryOptions{Namespace: namespace}).WithContext(ctx))
		if err != nil {
			return fmt.Errorf("read the deployment of %s: %w", job, err)
		}
		if newest == nil {
			return nil
		}
		switch newest.Status {
		case nomadapi.DeploymentStatusSuccessful:
			return nil
		case nomadapi.DeploymentStatusFailed, nomadapi.DeploymentStatusCancelled:
			return fmt.Errorf("the deployment of %s %s: %s", job, newest.Status, newest.StatusDescription)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the deployment of %s is still %s after %s: %s", job, newest.Status, limit, newest.StatusDescription)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Release is the release that the job file says the job runs (its meta).
func (d *Deployer) Release(ctx context.Context, namespace, id string) (string, error) {
	job, _, err := d.Nomad.Jobs().Info(id, (&nomadapi.QueryOptions{Namespace: namespace}).WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("read job %s: %w", id, err)
	}
	return job.Meta["release"], nil
}

// Healthy returns nil if the job is as Await wants it, else what is missing.
func (d *Deployer) Healthy(ctx context.Context, namespace, id string) error {
	q := (&nomadapi.QueryOptions{Namespace: namespace}).WithContext(ctx)
	job, _, err := d.Nomad.Jobs().Info(id, q)
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	if job.Stop != nil && *job.Stop {
		return errors.New("it is stopped")
	}
	stubs, _, err := d.Nomad.Jobs().Allocations(id, false, q)
	if err != nil {
		return fmt.Errorf("read its allocations: %w", err)
	}
	checks, _, err := d.Consul.Health().Checks(id, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("read its checks: %w", err)
	}
	running := map[string]int{}
	for _, a := range stubs {
		if a.JobVersion != *job.Version || a.DesiredStatus != nomadapi.AllocDesiredStatusRun {
			continue
		}
		if err := allocHealthy(job, a); err != nil {
			return fmt.Errorf("allocation %s: %w", a.ID[:8], err)
		}
		if err := checksPass(checks, a.ID); err != nil {
			return fmt.Errorf("allocation %s: %w", a.ID[:8], err)
		}
		running[a.TaskGroup]++
	}
	for _, g := range job.TaskGroups {
		if running[*g.Name] < *g.Count {
			return fmt.Errorf("%d of %d allocations run", running[*g.Name], *g.Count)
		}
	}
	return nil
}

func allocHealthy(job *nomadapi.Job, a *nomadapi.AllocationListStub) error {
	if a.ClientStatus != nomadapi.AllocClientStatusRunning {
		return fmt.Errorf("%s%s", a.ClientStatus, lastEvent(a))
	}
	for _, g := range job.TaskGroups {
		if *g.Name != a.TaskGroup {
			continue
		}
		for _, t := range g.Tasks {
			state := a.TaskStates[t.Name]
			once := t.Lifecycle != nil && !t.Lifecycle.Sidecar
			switch {
			case state == nil:
				return fmt.Errorf("task %s has not started", t.Name)
			case once && (state.State != "dead" || state.Failed):
				return fmt.Errorf("task %s has not succeeded%s", t.Name, lastEvent(a))
			case !once && state.State != "running":
				return fmt.Errorf("task %s is %s%s", t.Name, state.State, lastEvent(a))
			}
		}
	}
	return nil
}

func lastEvent(a *nomadapi.AllocationListStub) string {
	for name, state := range a.TaskStates {
		if n := len(state.Events); n > 0 && state.State != "running" {
			return fmt.Sprintf(" (%s: %s; see `nomad alloc logs -stderr %s %s`)", name, state.Events[n-1].DisplayMessage, a.ID[:8], name)
		}
	}
	return ""
}

// checksPass wants at least one check of the allocation's services, all passing.
// Nomad's service ids hold the allocation's id.
func checksPass(checks consulapi.HealthChecks, alloc string) error {
	seen := 0
	for _, c := range checks {
		if !strings.Contains(c.ServiceID, alloc) {
			continue
		}
		seen++
		if c.Status != consulapi.HealthPassing {
			return fmt.Errorf("check %q is %s", c.Name, c.Status)
		}
	}
	if seen == 0 {
		return errors.New("not registered in Consul yet")
	}
	return nil
}

// StopAll stops every job of a namespace ("*" for all) and waits until none of their
// allocations runs.
func (d *Deployer) StopAll(ctx context.Context, namespace string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	jobs, _, err := d.Nomad.Jobs().List((&nomadapi.QueryOptions{Namespace: namespace}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("list the jobs: %w", err)
	}
	for _, j := range jobs {
		if j.Stop {
			continue
		}
		w := (&nomadapi.WriteOptions{Namespace: j.Namespace}).WithContext(ctx)
		if _, _, err := d.Nomad.Jobs().Deregister(j.ID, false, w); err != nil {
			return fmt.Errorf("stop job %s: %w", j.ID, err)
		}
	}
	for {
		allocs, _, err := d.Nomad.Allocations().List((&nomadapi.QueryOptions{Namespace: namespace}).WithContext(ctx))
		if err != nil {
			return fmt.Errorf("list the allocations: %w", err)
		}
		left := 0
		for _, a := range allocs {
			if a.ClientStatus == nomadapi.AllocClientStatusRunning || a.ClientStatus == nomadapi.AllocClientStatusPending {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d allocations still run after %s", left, limit)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
