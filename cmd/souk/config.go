package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"souk/internal/configstore"
)

// devEnvironment is the one that `souk up` runs; its Consul is the instance's own.
const devEnvironment = "dev"

// takenLimit is how long a push waits for the instances to run with it.
const takenLimit = 5 * time.Second

func configCommand() *cobra.Command {
	var env, dir, message string
	root := &cobra.Command{
		Use:   "config",
		Short: "Plan, push, list and take back the services' configuration in Consul",
		Long: `The source is consul-config/kv/<env>/<service>.yaml. Every document is checked by its
service's own program before anything is written; a push is one transaction, which Consul
refuses if somebody else pushed meanwhile. Running services take it within a second.

Environment dev is this instance's. For any other, CONSUL_HTTP_ADDR (and CONSUL_HTTP_TOKEN or
CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT) say which Consul.`,
	}
	root.PersistentFlags().StringVar(&env, "env", devEnvironment, "environment: a folder of consul-config/kv")
	root.PersistentFlags().StringVar(&dir, "dir", "", "folder of <service>.yaml files (default consul-config/kv/<env>)")

	plan := &cobra.Command{
		Use: "plan", Short: "Show what push would change", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := openConfig(cmd.Context(), env, dir)
			if err != nil {
				return err
			}
			p, err := c.planFiles(cmd.Context())
			if err != nil {
				return err
			}
			c.show(p)
			return nil
		},
	}
	push := &cobra.Command{
		Use: "push", Short: "Write what differs, and wait until every instance has it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := openConfig(cmd.Context(), env, dir)
			if err != nil {
				return err
			}
			p, err := c.planFiles(cmd.Context())
			if err != nil {
				return err
			}
			c.show(p)
			return c.push(cmd.Context(), p, message)
		},
	}
	push.Flags().StringVarP(&message, "message", "m", "", "why, for the history")
	history := &cobra.Command{
		Use: "history", Short: "List the revisions that were pushed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := openConfig(cmd.Context(), env, dir)
			if err != nil {
				return err
			}
			return c.history(cmd.Context())
		},
	}
	rollback := &cobra.Command{
		Use: "rollback REVISION", Short: "Push what a revision had, as a new revision", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("%q is not a revision: give a number from `souk config history`", args[0])
			}
			c, err := openConfig(cmd.Context(), env, dir)
			if err != nil {
				return err
			}
			p, err := c.store.PlanRollback(cmd.Context(), number)
			if err != nil {
				return err
			}
			c.show(p)
			if message == "" {
				message = fmt.Sprintf("back to revision %d", number)
			}
			return c.push(cmd.Context(), p, message)
		},
	}
	rollback.Flags().StringVarP(&message, "message", "m", "", "why, for the history")
	root.AddCommand(plan, push, history, rollback)
	return root
}

// configTool is `souk config` on one environment.
type configTool struct {
	*app
	store    *configstore.Store
	dir      string
	programs map[string]string
}

func openConfig(ctx context.Context, env, dir string) (*configTool, error) {
	a, err := newApp(os.Stdout)
	if err != nil {
		return nil, err
	}
	if err := a.environmentExists(env); err != nil {
		return nil, err
	}
	consul, err := a.configConsul(env)
	if err != nil {
		return nil, err
	}
	return a.openConfig(ctx, consul, env, dir)
}

func (a *app) openConfig(ctx context.Context, consul *consulapi.Client, env, dir string) (*configTool, error) {
	if dir == "" {
		dir = filepath.Join(a.Root, "consul-config", "kv", env)
	}
	services, err := a.serviceNames()
	if err != nil {
		return nil, err
	}
	programs, err := a.buildPrograms(ctx, services...)
	if err != nil {
		return nil, err
	}
	c := &configTool{app: a, dir: dir, programs: programs}
	c.store = &configstore.Store{Consul: consul, Env: env, Check: c.check}
	return c, nil
}

func (a *app) environmentExists(env string) error {
	folders, err := filepath.Glob(filepath.Join(a.Root, "consul-config", "kv", "*"))
	if err != nil {
		return err
	}
	names := make([]string, 0, len(folders))
	for _, f := range folders {
		names = append(names, filepath.Base(f))
	}
	if !slices.Contains(names, env) {
		return fmt.Errorf("there is no environment %q: consul-config/kv has %s", env, strings.Join(names, ", "))
	}
	return nil
}

func (a *app) configConsul(env string) (*consulapi.Client, error) {
	switch {
	case env != devEnvironment && os.Getenv(consulapi.HTTPAddrEnvName) == "":
		return nil, fmt.Errorf("environment %s is not this instance's: set CONSUL_HTTP_ADDR (and CONSUL_HTTP_TOKEN_FILE) to its Consul", env)
	case env != devEnvironment:
		return consulapi.NewClient(consulapi.DefaultConfig())
	case a.PID("consul") == 0:
		return nil, errors.New("nothing is running: `make up` starts it")
	}
	return a.hashistack().Consul()
}

// check runs the service's own program on the document, so that what decides is the
// very type that will read it.
func (c *configTool) check(ctx context.Context, service string, document []byte) error {
	program, ok := c.programs[service]
	if !ok {
		services, _ := c.serviceNames()
		return fmt.Errorf("there is no such service: services are %s", strings.Join(services, ", "))
	}
	cmd := exec.CommandContext(ctx, program, "check-config")
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(document), &problems
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if text := strings.TrimPrefix(strings.TrimSpace(problems.String()), service+": "); text != "" {
		return errors.New(strings.ReplaceAll(text, "; ", "\n"))
	}
	return err
}

// readDocuments reads every <service>.yaml of a folder.
func readDocuments(dir string) (configstore.Documents, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s holds no <service>.yaml", dir)
	}
	documents := configstore.Documents{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		documents[strings.TrimSuffix(filepath.Base(path), ".yaml")] = string(raw)
	}
	return documents, nil
}

func (c *configTool) planFiles(ctx context.Context) (*configstore.Plan, error) {
	documents, err := readDocuments(c.dir)
	if err != nil {
		return nil, err
	}
	p, err := c.store.Plan(ctx, documents)
	if err != nil {
		return nil, fmt.Errorf("nothing was written:\n%w", err)
	}
	return p, nil
}

func (c *configTool) show(p *configstore.Plan) {
	for _, name := range p.Drifted {
		c.say("%s was changed since the last revision, and not by souk config", name)
	}
	for _, name := range p.Unmanaged {
		c.say("%s has a configuration in Consul and no file; it stays as it is", name)
	}
	for _, change := range p.Changes {
		c.say("%s", strings.TrimSuffix(change.Diff(), "\n"))
	}
	if len(p.Changes) == 0 {
		c.say("Consul has what it should have; nothing to change in %s", c.store.Env)
	}
}

func (c *configTool) push(ctx context.Context, p *configstore.Plan, message string) error {
	if len(p.Changes) == 0 {
		return nil
	}
	by := "unknown"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	r, index, err := c.store.Push(ctx, p, by, message)
	if err != nil {
		return err
	}
	c.say("revision %d of %s is in Consul: %s", r.Number, c.store.Env, strings.Join(r.Changed, ", "))
	ctx, cancel := context.WithTimeout(ctx, takenLimit)
	defer cancel()
	g := errgroup.Group{}
	for _, service := range r.Changed {
		g.Go(func() error {
			t, err := configstore.AwaitTaken(ctx, c.store.Consul, service, index)
			if err != nil {
				return fmt.Errorf("%s: %d of %d instances took it within %s: %w", service, t.Took, t.Instances, takenLimit, err)
			}
			c.say("  %s: %d of %d instances took it (%s)", service, t.Took, t.Instances, t.After.Round(time.Millisecond))
			return nil
		})
	}
	return g.Wait()
}

func (c *configTool) history(ctx context.Context) error {
	revisions, err := c.store.History(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tAT\tBY\tCHANGED\tMESSAGE")
	for _, r := range slices.Backward(revisions) {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", r.Number, r.At.Format(time.RFC3339), r.By, strings.Join(r.Changed, ", "), r.Message)
	}
	return w.Flush()
}
