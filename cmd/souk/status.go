package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shirou/gopsutil/v4/process"
	"github.com/spf13/cobra"

	"souk/internal/hashistack"
	"souk/stack"
)

// row is one server or job in `souk status`.
type row struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`   // agent or job
	Health  string `json:"health"` // healthy, or what is wrong
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"`
	Memory  uint64 `json:"memory_bytes"` // resident, over all of its processes
}

const healthy = "healthy"

func statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every server and job: health, address, version, memory",
		Long:  "Show every server and job: health, address, version, memory. The exit code is 1 if anything is not healthy.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			if !a.Exists() {
				return fmt.Errorf("nothing has been set up in %s yet: run `make up`", a.Home)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 15*time.Second)
			defer cancel()
			rows, err := a.status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(os.Stdout)
				enc.SetIndent("", "  ")
				err = enc.Encode(rows)
			} else {
				err = a.printStatus(rows)
			}
			for _, r := range rows {
				if r.Health != healthy {
					return errors.Join(err, fmt.Errorf("%s is %s: `make up` repairs it", r.Name, r.Health))
				}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: a list of objects with name, kind, health, address, version, memory_bytes")
	return cmd
}

func (a *app) printStatus(rows []row) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tHEALTH\tADDRESS\tVERSION\tMEMORY")
	var sum uint64
	for _, r := range rows {
		sum += r.Memory
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Kind, r.Health, r.Address, r.Version, mib(r.Memory))
	}
	fmt.Fprintf(w, "all\t\t\t\t\t%s\n", mib(sum))
	return w.Flush()
}

func mib(bytes uint64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

func (a *app) status(ctx context.Context) ([]row, error) {
	usage, err := a.usage()
	if err != nil {
		return nil, err
	}
	rows := a.agentRows(ctx)
	rows = append(rows, a.jobRows(ctx)...)
	for i := range rows {
		rows[i].Memory = usage[rows[i].Name].memory
	}
	return rows, nil
}

// agentRows asks each agent itself.
func (a *app) agentRows(ctx context.Context) []row {
	s := a.hashistack()
	rows := make([]row, 0, len(hashistack.Agents))
	for _, name := range hashistack.Agents {
		r := row{Name: name, Kind: "agent", Health: healthy}
		version, err := s.Health(ctx, name)
		r.Version = version
		switch {
		case a.PID(name) == 0:
			r.Health = "down"
		case err != nil:
			r.Health = "unhealthy (" + err.Error() + ")"
		}
		r.Address = map[string]string{"consul": s.ConsulAddr(), "vault": s.VaultAddr(),
			"nomad-server": s.NomadAddr(), "nomad-client": s.NomadClientAddr()}[name]
		rows = append(rows, r)
	}
	return rows
}

// jobRows lists the infra jobs, there or not, and every other service job.
func (a *app) jobRows(ctx context.Context) []row {
	d, err := a.deployer()
	var jobs []*nomadapi.JobListStub
	if err == nil {
		jobs, _, err = d.Nomad.Jobs().List((&nomadapi.QueryOptions{Namespace: "*"}).WithContext(ctx))
	}
	byName := map[string]string{} // job -> namespace
	for _, name := range infraJobs {
		byName[name] = "infra"
	}
	for _, j := range jobs {
		if j.Type == nomadapi.JobTypeService && !j.Stop {
			byName[j.ID] = j.Namespace
		}
	}
	versions := map[string]string{}
	for _, s := range stack.Servers() {
		versions[s.Name] = s.Version
		if program, err := filepath.EvalSymlinks(a.Path("servers", s.Name)); err != nil || !strings.Contains(program, s.Version) {
			versions[s.Name] = "from PATH"
		}
	}
	var rows []row
	for name, namespace := range byName {
		r := row{Name: name, Kind: "job", Health: healthy, Version: versions[name]}
		switch {
		case err != nil:
			r.Health = "unknown, as Nomad does not answer"
		case a.PID("consul") == 0:
			r.Health = "unknown, as Consul is down"
		default:
			if err := d.Healthy(ctx, namespace, name); err != nil {
				r.Health = "unhealthy (" + err.Error() + ")"
			}
			if services, _, err := d.Consul.Catalog().Service(name, "", nil); err == nil && len(services) > 0 {
				r.Address = fmt.Sprintf("%s:%d", services[0].ServiceAddress, services[0].ServicePort)
				if name == gatewayName {
					r.Address = a.gatewayURL()
				}
				if len(services) > 1 {
					r.Address += fmt.Sprintf(" and %d more", len(services)-1)
				}
				if release := services[0].ServiceMeta["release"]; release != "" {
					r.Version = release
				}
			}
		}
		rows = append(rows, r)
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Name < rows[j].Name })
	return rows
}

var proportional = regexp.MustCompile(`(?m)^Pss:\s+(\d+) kB$`)

// resident counts a page that several processes share in parts (Linux's proportional set size): PostgreSQL and Nomad
// have many of the same program. It is 0 for a process that has ended meanwhile.
func resident(p *process.Process) uint64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.Pid))
	if m := proportional.FindSubmatch(raw); err == nil && m != nil {
		kb, _ := strconv.ParseUint(string(m[1]), 10, 64)
		return kb << 10
	}
	info, err := p.MemoryInfo()
	if err != nil {
		return 0
	}
	return info.RSS
}

// owner is the job that a process works for, else the agent: Nomad tells its
// tasks their job, and what an agent starts for itself (plugins, executors) is its own. agents has the
// agents by process id.
func owner(p *process.Process, agents map[int32]string) string {
	env, _ := p.Environ()
	for _, e := range env {
		if job, ok := strings.CutPrefix(e, "NOMAD_JOB_ID="); ok {
			return job
		}
	}
	if agent := agents[p.Pid]; agent != "" {
		return agent
	}
	if name, _ := p.Name(); strings.HasPrefix(name, "postgresql") {
		return "vault"
	}
	return "nomad-client"
}
