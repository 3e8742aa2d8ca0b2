package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"souk/stack"
)

func envCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: `Print what consul, vault, nomad and tofu need: eval "$(bin/souk env)"`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			if !a.Exists() {
				return fmt.Errorf("nothing has been set up in %s yet: run `make up` first", a.Home)
			}
			vars := a.variables()
			names := make([]string, 0, len(vars))
			for name := range vars {
				names = append(names, name)
			}
			sort.Strings(names)
			for _, name := range names {
				a.say("export %s=%s", name, shellQuote(vars[name]))
			}
			// Secrets are named, not shown.
			for name, file := range secretVariables {
				a.say("export %s=\"$(cat %s)\"", name, shellQuote(a.Path("secrets", file)))
			}
			a.say("export PATH=%s:\"$PATH\"", shellQuote(a.Path("bin")))
			return nil
		},
	}
}

// secretVariables are read from files under secrets/.
var secretVariables = map[string]string{"VAULT_TOKEN": "vault-root.token", "NOMAD_TOKEN": "nomad-management.token"}

// variables are the settings of every command-line tool and the variables of the
// job files and of terraform/dev; none of them is secret.
func (a *app) variables() map[string]string {
	s, p := a.hashistack(), a.Ports
	port := strconv.Itoa
	logs := s.AuditLogs("vault")
	audit, _ := json.Marshal(map[string]string{"file": logs[0], "second": logs[1]})
	vars := map[string]string{
		"SOUK_HOME":              a.Home,
		"CONSUL_HTTP_ADDR":       s.ConsulAddr(),
		"CONSUL_HTTP_TOKEN_FILE": a.Path("secrets", "consul-management.token"),
		"VAULT_ADDR":             s.VaultAddr(),
		"NOMAD_ADDR":             s.NomadAddr(),
		"NOMAD_NAMESPACE":        "*",
		"NOMAD_CLI_SHOW_HINTS":   "0", // they lead to a web interface that a module build lacks

		"NOMAD_VAR_environment":                  devEnvironment,
		"NOMAD_VAR_gateway_addr":                 fmt.Sprintf("127.0.0.1:%d", p.Gateway),
		"NOMAD_VAR_issuer":                       a.gatewayURL(),
		"NOMAD_VAR_mail_dir":                     a.Path("mail"),
		"NOMAD_VAR_bin_dir":                      a.Path("bin"),
		"NOMAD_VAR_servers_dir":                  a.Path("servers"),
		"NOMAD_VAR_data_dir":                     a.Path("data"),
		"NOMAD_VAR_socket_dir":                   a.SocketDir(),
		"NOMAD_VAR_java":                         stack.JavaPath(),
		"NOMAD_VAR_postgres_port":                port(p.Postgres),
		"NOMAD_VAR_kafka_port":                   port(p.Kafka),
		"NOMAD_VAR_kafka_controller_port":        port(p.KafkaController),
		"NOMAD_VAR_mongo_port":                   port(p.Mongo),
		"NOMAD_VAR_elasticsearch_port":           port(p.Elasticsearch),
		"NOMAD_VAR_elasticsearch_transport_port": port(p.ElasticsearchTransport),
		"NOMAD_VAR_prometheus_port":              port(p.Prometheus),
		"NOMAD_VAR_consul_addr":                  strings.TrimPrefix(s.ConsulAddr(), "http://"),
		"NOMAD_VAR_vault_addr":                   strings.TrimPrefix(s.VaultAddr(), "http://"),

		"TF_CLI_CONFIG_FILE":             a.Path("terraform", "cli.tfrc"),
		"TF_DATA_DIR":                    a.Path("terraform", "data"),
		"TF_VAR_environment":             "dev",
		"TF_VAR_nomad_jwks_url":          s.NomadAddr() + "/.well-known/jwks.json",
		"TF_VAR_postgres_connection_url": fmt.Sprintf("postgresql://vault_admin@/postgres?host=%s&port=%d", url.QueryEscape(a.SocketDir()), p.Postgres),
		"TF_VAR_audit_files":             string(audit),
		"TF_VAR_consul_bin":              a.Path("bin", "consul"),
		"TF_VAR_nomad_bin":               a.Path("bin", "nomad"),
		"TF_VAR_consul_epoch":            a.epoch("data", "consul", "node-id"),
		"TF_VAR_nomad_epoch":             a.epoch("data", "nomad-server", "server", "node-id"),
	}
	// A new build of a server changes its job, which restarts it.
	for _, job := range infraJobs {
		if dir, err := filepath.EvalSymlinks(a.Path("servers", job)); err == nil {
			vars["NOMAD_VAR_"+job+"_release"] = strings.TrimPrefix(filepath.Base(dir), ".")
		}
	}
	if services, err := a.databaseServices(); err == nil {
		list, _ := json.Marshal(services)
		vars["NOMAD_VAR_postgres_services"] = string(list)
	}
	// Each build of a service has a name of its own, so a new one changes its job too.
	if names, err := a.programNames(); err == nil {
		for _, name := range names {
			vars["NOMAD_VAR_"+name+"_program"], vars["NOMAD_VAR_"+name+"_release"] = a.program(name)
		}
	}
	return vars
}

// databaseServices are those whose Vault policy lets them have a PostgreSQL user.
func (a *app) databaseServices() (names []string, err error) {
	policies, err := filepath.Glob(filepath.Join(a.Root, "vault-policies", "*.hcl"))
	if err != nil {
		return nil, err
	}
	for _, policy := range policies {
		name := strings.TrimSuffix(filepath.Base(policy), ".hcl")
		raw, err := os.ReadFile(policy)
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(raw), `"database/creds/`+name+`"`) {
			names = append(names, name)
		}
	}
	return names, nil
}

// epoch is what a server drew when its data was made: new data, new epoch.
func (a *app) epoch(elem ...string) string {
	raw, err := os.ReadFile(a.Path(elem...))
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(raw))
}

// operatorEnv is the environment for tools that souk runs itself.
func (a *app) operatorEnv() ([]string, error) {
	env := []string{"PATH=" + a.Path("bin") + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range a.variables() {
		// The job file says the namespace.
		if name != "NOMAD_NAMESPACE" {
			env = append(env, name+"="+value)
		}
	}
	for name, file := range secretVariables {
		value, err := a.Secret(file)
		if err != nil {
			return nil, fmt.Errorf("read a token: %w", err)
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
