// Package hashistack brings up the Consul, Vault and Nomad agents of an
// instance as real servers: ACLs on, Vault initialised and unsealed, one
// management token each under secrets/. Every step may be repeated at any time
// and does only what is missing.
package hashistack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"text/template"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/instance"
)

// Names of the secrets that bringing up an instance draws or receives.
const (
	consulManagement = "consul-management.token"
	consulAgent      = "consul-agent.token"
	consulForVault   = "consul-vault.token"
	consulForServer  = "consul-nomad-server.token"
	consulForClient  = "consul-nomad-client.token"
	nomadManagement  = "nomad-management.token"
	vaultInit        = "vault-init.json"
	vaultPending     = "vault-init.pending" // there from the request until the answer is kept
	vaultRoot        = "vault-root.token"
)

// Agents lists the agents in the order in which they start. Nomad is two, as in
// production: its client starts when the server can tell it what to run.
var Agents = []string{"consul", "vault", "nomad-server", "nomad-client"}

// Stack is the agents of one instance. Programs holds the path of each,
// by name, and of the PostgreSQL plugin for Vault.
type Stack struct {
	*instance.Instance
	Programs map[string]string
}

// Up starts and sets up whatever of the agents is missing, and reports each
// thing that it did to did.
func (s *Stack) Up(ctx context.Context, did func(string)) error {
	for _, up := range []func(context.Context, func(string)) error{s.upConsul, s.upVault, s.upNomadServer, s.upNomadClient} {
		if err := up(ctx, did); err != nil {
			return err
		}
	}
	return nil
}

// ensure renders the agent's configuration and starts the agent if need be.
// args end where the path of the configuration is to follow.
func (s *Stack) ensure(ctx context.Context, name, consulToken string, did func(string), args ...string) error {
	raw, err := os.ReadFile(filepath.Join(s.Root, "nomad", "agent", "dev", name+".hcl.tmpl"))
	if err != nil {
		return fmt.Errorf("the checkout lacks a file: %w", err)
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(raw))
	if err != nil {
		return err
	}
	var config bytes.Buffer
	err = t.Execute(&config, struct {
		*instance.Instance
		ConsulToken, Loopback string
	}{s.Instance, consulToken, loopback()})
	if err != nil {
		return err
	}
	file := filepath.Join("config", name+".hcl")
	if err := s.WriteServerFile(file, config.Bytes(), 0o600); err != nil {
		return err
	}
	path := s.Path(file)
	started, err := s.Ensure(ctx, instance.Agent{
		Name: name, Program: s.Programs[name], Args: append(args, path), Config: path, Logs: s.AuditLogs(name),
	})
	if started && err == nil {
		did("started " + name)
	}
	return err
}

// AuditLogs are the files of Vault's two audit devices; other agents have none.
func (s *Stack) AuditLogs(agent string) []string {
	if agent != "vault" {
		return nil
	}
	return []string{s.Path("logs", "vault-audit.log"), s.Path("logs", "vault-audit-second.log")}
}

func loopback() string {
	if runtime.GOOS == "darwin" {
		return "lo0"
	}
	return "lo"
}

// ConsulAddr, VaultAddr, NomadAddr (the server's) and NomadClientAddr are the
// agents' HTTP addresses.
func (s *Stack) ConsulAddr() string { return fmt.Sprintf("http://127.0.0.1:%d", s.Ports.ConsulHTTP) }
func (s *Stack) VaultAddr() string  { return fmt.Sprintf("http://127.0.0.1:%d", s.Ports.Vault) }
func (s *Stack) NomadClientAddr() string {
	return fmt.Sprintf("http://127.0.0.1:%d", s.Ports.NomadClientHTTP)
}
func (s *Stack) NomadAddr() string { return fmt.Sprintf("http://127.0.0.1:%d", s.Ports.NomadHTTP) }

// Consul is a client with the instance's management token.
func (s *Stack) Consul() (*consulapi.Client, error) {
	token, err := s.Secret(consulManagement)
	if err != nil {
		return nil, err
	}
	return s.consulAs(token)
}

func (s *Stack) consulAs(token string) (*consulapi.Client, error) {
	return consulapi.NewClient(&consulapi.Config{Address: s.ConsulAddr(), Token: token})
}

// Vault is a client with the instance's root token.
func (s *Stack) Vault() (*vaultapi.Client, error) {
	keys, err := s.vaultKeys()
	if err != nil {
		return nil, err
	}
	return s.vaultAs(keys.RootToken)
}

func (s *Stack) vaultAs(token string) (*vaultapi.Client, error) {
	// Not DefaultConfig: the caller's VAULT_* variables are for another Vault.
	c, err := vaultapi.NewClient(&vaultapi.Config{Address: s.VaultAddr(), MaxRetries: 0, DisableRedirects: true})
	if err != nil {
		return nil, err
	}
	if err := c.SetAddress(s.VaultAddr()); err != nil {
		return nil, err
	}
	c.ClearNamespace()
	c.SetToken(token)
	return c, nil
}

// Nomad is a client with the instance's management token, for all namespaces.
func (s *Stack) Nomad() (*nomadapi.Client, error) {
	token, err := s.Secret(nomadManagement)
	if err != nil {
		return nil, err
	}
	return nomadapi.NewClient(&nomadapi.Config{Address: s.NomadAddr(), SecretID: token, Namespace: "*"})
}

// Health asks one agent whether it can do its work. It returns the version it tells.
func (s *Stack) Health(ctx context.Context, name string) (version string, err error) {
	switch name {
	case "consul":
		c, err := s.Consul()
		if err != nil {
			return "", err
		}
		self, err := c.Agent().Self()
		if err != nil {
			return "", err
		}
		version, _ = self["Config"]["Version"].(string)
		leader, err := c.Status().LeaderWithQueryOptions((&consulapi.QueryOptions{}).WithContext(ctx))
		if err == nil && leader == "" {
			err = errors.New("no leader")
		}
		return version, err
	case "vault":
		c, err := s.vaultAs("")
		if err != nil {
			return "", err
		}
		h, err := c.Sys().HealthWithContext(ctx)
		if err != nil {
			return "", err
		}
		if h.Sealed {
			err = errors.New("sealed")
		}
		return h.Version, err
	case "nomad-server":
		c, err := s.Nomad()
		if err != nil {
			return "", err
		}
		self, err := c.Agent().Self()
		if err != nil {
			return "", err
		}
		leader, err := c.Status().Leader()
		if err == nil && leader == "" {
			err = errors.New("no leader")
		}
		return self.Member.Tags["build"], err
	default:
		c, err := s.Nomad()
		if err != nil {
			return "", err
		}
		node, err := readyNode(ctx, c)
		if err != nil {
			return "", err
		}
		return node.Version, nil
	}
}
