package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/spf13/cobra"

	"souk/internal/deploy"
)

// reconcileJob is a batch job: it starts every night, and at any time by hand.
const reconcileJob = "reconcile"

// reconcileLimit is a little longer than the program gives itself.
const reconcileLimit = 2*time.Hour + 5*time.Minute

func reconcileCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the books of orders, inventory and payments, and say where they differ",
		Long: `reconcile runs the job that Nomad also runs every night: it reads what orders, inventory and payments have of
every order, the ledger and the provider's books, and prints each difference. What changed within the last
minute is left out. It changes nothing. The exit code is 1 if there is a difference.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), reconcileLimit)
			defer cancel()
			return a.reconcile(ctx, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// errDiffer is for the exit code; the report has said the rest.
var errDiffer = errors.New("the books differ")

func (a *app) reconcile(ctx context.Context, asJSON bool) error {
	nomad, err := a.hashistack().Nomad()
	if err != nil {
		return err
	}
	run, err := a.forceReconcile(ctx, nomad)
	if err != nil {
		return err
	}
	alloc, err := awaitBatch(ctx, nomad, run)
	if err != nil {
		return err
	}
	file := "report.txt"
	if asJSON {
		file = "report.json"
	}
	if err := printFile(nomad, alloc, "alloc/data/"+file); err != nil {
		return fmt.Errorf("the run %s left no report: %w: `nomad alloc logs -namespace=souk -stderr %s` says why", run, err, alloc.ID[:8])
	}
	if alloc.ClientStatus == nomadapi.AllocClientStatusComplete {
		return nil
	}
	return errDiffer
}

// forceReconcile starts a run beside those of the nights and returns its job id.
func (a *app) forceReconcile(ctx context.Context, nomad *nomadapi.Client) (string, error) {
	eval, _, err := nomad.Jobs().PeriodicForce(reconcileJob, (&nomadapi.WriteOptions{Namespace: "souk"}).WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("start the job %s: %w: `make up` submits it", reconcileJob, err)
	}
	info, _, err := nomad.Evaluations().Info(eval, inSouk(ctx))
	if err != nil {
		return "", fmt.Errorf("read the run of %s: %w", reconcileJob, err)
	}
	return info.JobID, nil
}

func inSouk(ctx context.Context) *nomadapi.QueryOptions {
	return (&nomadapi.QueryOptions{Namespace: "souk"}).WithContext(ctx)
}

// awaitBatch waits until the allocation of a batch job has ended, well or not.
func awaitBatch(ctx context.Context, nomad *nomadapi.Client, job string) (*nomadapi.Allocation, error) {
	for {
		stubs, _, err := nomad.Jobs().Allocations(job, true, inSouk(ctx))
		if err != nil {
			return nil, fmt.Errorf("read the allocations of %s: %w", job, err)
		}
		for _, s := range stubs {
			switch s.ClientStatus {
			case nomadapi.AllocClientStatusComplete, nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
				alloc, _, err := nomad.Allocations().Info(s.ID, inSouk(ctx))
				return alloc, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has not ended: %w", job, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func printFile(nomad *nomadapi.Client, alloc *nomadapi.Allocation, path string) error {
	content, err := nomad.AllocFS().Cat(alloc, path, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, content)
	return errors.Join(err, content.Close())
}

// submitReconcile registers the job if Nomad has another or none, and reports whether it did. A plan's exit code would
// not tell: a periodic job never has allocations of its own.
func (a *app) submitReconcile(ctx context.Context, d *deploy.Deployer) (changed bool, err error) {
	cmd := exec.CommandContext(ctx, d.Program, "job", "run", "-output", filepath.Join(a.Root, "nomad", "batch", reconcileJob+".nomad.hcl"))
	cmd.Env = d.Env
	out, err := cmd.Output()
	if err != nil {
		return false, fmt.Errorf("read the job %s: %w", reconcileJob, err)
	}
	var file struct{ Job *nomadapi.Job }
	if err := json.Unmarshal(out, &file); err != nil || file.Job == nil {
		return false, fmt.Errorf("read the job %s: %w", reconcileJob, err)
	}
	w := (&nomadapi.WriteOptions{Namespace: "souk"}).WithContext(ctx)
	plan, _, err := d.Nomad.Jobs().Plan(file.Job, true, w)
	if err != nil {
		return false, fmt.Errorf("plan the job %s: %w", reconcileJob, err)
	}
	if plan.Diff != nil && plan.Diff.Type == "None" {
		return false, nil
	}
	if _, _, err := d.Nomad.Jobs().Register(file.Job, w); err != nil {
		return false, fmt.Errorf("submit the job %s: %w", reconcileJob, err)
	}
	return true, nil
}
