package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"souk/internal/configstore"
	"souk/internal/deploy"
)

// appLimit is how long a service may take to be healthy, a rolling deploy included.
const appLimit = 3 * time.Minute

// runApps submits the services' jobs that differ from their files and waits for all.
func (a *app) runApps(ctx context.Context) error {
	services, err := a.serviceNames()
	if err != nil {
		return err
	}
	d, err := a.deployer()
	if err != nil {
		return err
	}
	for _, name := range services {
		changed, err := d.Run(ctx, filepath.Join(a.Root, "nomad", "apps", name+".nomad.hcl"))
		if err != nil {
			return err
		}
		if changed {
			a.did("submitted job " + name)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, name := range services {
		g.Go(func() error {
			since := time.Now()
			if err := a.awaitApp(gctx, d, name); err != nil {
				return err
			}
			if took := time.Since(since); took > time.Second {
				a.did(fmt.Sprintf("%s is healthy (%s)", name, round(took)))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	changed, err := a.submitReconcile(ctx, d)
	if changed && err == nil {
		a.did("submitted job " + reconcileJob)
	}
	return err
}

// awaitApp waits until the release of this checkout serves, alone. Nomad goes back to
// the one before by itself, which then is healthy, but not what was asked for.
func (a *app) awaitApp(ctx context.Context, d *deploy.Deployer, name string) error {
	err := d.AwaitDeployment(ctx, "souk", name, appLimit)
	if err == nil {
		err = d.Await(ctx, "souk", name, appLimit)
	}
	if err != nil {
		return fmt.Errorf("%w: `nomad alloc logs -namespace=souk -job %s` says more", err, name)
	}
	_, want := a.program(name)
	have, err := d.Release(ctx, "souk", name)
	if err == nil && have != want {
		err = fmt.Errorf("release %s of %s did not become healthy and Nomad went back to %s: `nomad job status -namespace=souk %s` shows its allocations", want, name, have, name)
	}
	return err
}

// pushMissingConfig gives Consul the configuration of services that have none there.
// What differs stays: somebody may have pushed or rolled back on purpose.
func (a *app) pushMissingConfig(ctx context.Context) error {
	consul, err := a.hashistack().Consul()
	if err != nil {
		return err
	}
	dir := filepath.Join(a.Root, "consul-config", "kv", devEnvironment)
	documents, err := readDocuments(dir)
	if err != nil {
		return err
	}
	missing, differ := configstore.Documents{}, []string{}
	for name, document := range documents {
		pair, _, err := consul.KV().Get("souk/"+devEnvironment+"/"+name, nil)
		switch {
		case err != nil:
			return fmt.Errorf("read the configuration of %s in Consul: %w", name, err)
		case pair == nil:
			missing[name] = document
		case string(pair.Value) != document:
			differ = append(differ, name)
		}
	}
	for _, name := range differ {
		a.say("  the configuration of %s in Consul is not that of consul-config/kv/dev: `bin/souk config plan` shows how", name)
	}
	if len(missing) == 0 {
		return nil
	}
	c, err := a.openConfig(ctx, consul, devEnvironment, dir)
	if err != nil {
		return err
	}
	p, err := c.store.Plan(ctx, missing)
	if err != nil {
		return err
	}
	if _, _, err := c.store.Push(ctx, p, "souk up", "what was missing"); err != nil {
		return err
	}
	a.did("wrote the missing configuration to Consul")
	return nil
}

// upApps brings up everything of Souk's own on servers that run, and fills the shop.
func (a *app) upApps(ctx context.Context) error {
	if err := a.pushMissingConfig(ctx); err != nil {
		return err
	}
	if err := a.ensureClientSecrets(ctx); err != nil {
		return err
	}
	if err := a.ensureSandboxSecret(ctx); err != nil {
		return err
	}
	if err := a.runApps(ctx); err != nil {
		return err
	}
	filled, err := a.seed(ctx)
	if err != nil {
		return err
	}
	if filled.Created()+filled.Stocked > 0 {
		a.did(filled.String())
	}
	made, err := a.ensureExampleUsers(ctx)
	if err != nil {
		return fmt.Errorf("make the example users: %w", err)
	}
	if made == 0 {
		return nil
	}
	a.did(fmt.Sprintf("made %d example users: `bin/souk token customer` logs one in", made))
	return a.demo(ctx) // once in a shop's life; it changes nothing, but takes its time
}
