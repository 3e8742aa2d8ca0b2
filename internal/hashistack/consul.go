package hashistack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	consulapi "github.com/hashicorp/consul/api"
)

// upConsul starts Consul, bootstraps its ACLs and gives each agent a token that
// allows no more than it needs. The policies are consul-config/agents/<name>.hcl.
func (s *Stack) upConsul(ctx context.Context, did func(string)) error {
	if err := s.ensure(ctx, "consul", "", did, "agent", "-config-file"); err != nil {
		return err
	}
	management, err := s.TokenSecret(consulManagement)
	if err != nil {
		return err
	}
	c, err := s.consulAs(management)
	if err != nil {
		return err
	}
	q := (&consulapi.QueryOptions{}).WithContext(ctx)
	err = s.Await(ctx, "consul", func(ctx context.Context) error {
		leader, err := c.Status().LeaderWithQueryOptions((&consulapi.QueryOptions{}).WithContext(ctx))
		if err == nil && leader == "" {
			err = errors.New("no leader yet")
		}
		if err != nil {
			return err
		}
		// A leader answers ACL calls only once it has set them up.
		_, _, err = c.ACL().TokenReadSelf((&consulapi.QueryOptions{}).WithContext(ctx))
		if err == nil || !isNotFound(err) {
			return err
		}
		if _, _, err = c.ACL().BootstrapWithToken(management); err == nil {
			did("bootstrapped Consul's ACLs")
		} else if strings.Contains(err.Error(), "no longer allowed") {
			return nil // told below
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, _, err := c.ACL().TokenReadSelf(q); err != nil {
		return s.Broken(fmt.Errorf("Consul does not know secrets/%s: %w", consulManagement, err))
	}
	for _, a := range []struct{ name, secret string }{
		{"consul", consulAgent}, {"vault", consulForVault},
		{"nomad-server", consulForServer}, {"nomad-client", consulForClient},
	} {
		if err := s.agentToken(ctx, c, a.name, a.secret, did); err != nil {
			return fmt.Errorf("Consul token of the %s agent: %w", a.name, err)
		}
	}
	own, err := s.Secret(consulAgent)
	if err != nil {
		return err
	}
	if _, err := c.Agent().UpdateAgentACLToken(own, (&consulapi.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("give Consul its own token: %w", err)
	}
	return nil
}

// isNotFound: Consul answers 403 "ACL not found" for a token that it does not know.
func isNotFound(err error) bool {
	return strings.Contains(err.Error(), "ACL not found")
}

// agentToken makes an agent's policy, and a token for it whose secret is drawn
// here, so that a repeated call finds the same token.
func (s *Stack) agentToken(ctx context.Context, c *consulapi.Client, agent, secretName string, did func(string)) error {
	if err := s.agentPolicy(ctx, c, agent, did); err != nil {
		return err
	}
	q, w := (&consulapi.QueryOptions{}).WithContext(ctx), (&consulapi.WriteOptions{}).WithContext(ctx)
	secret, err := s.TokenSecret(secretName)
	if err != nil {
		return err
	}
	as, err := s.consulAs(secret)
	if err != nil {
		return err
	}
	if _, _, err = as.ACL().TokenReadSelf(q); err == nil || !isNotFound(err) {
		return err
	}
	_, _, err = c.ACL().TokenCreate(&consulapi.ACLToken{
		SecretID: secret, Description: "The " + agent + " agent",
		Policies: []*consulapi.ACLTokenPolicyLink{{Name: "agent-" + agent}},
	}, w)
	return err
}

// agentPolicy makes or updates the policy agent-<name> from consul-config/agents.
func (s *Stack) agentPolicy(ctx context.Context, c *consulapi.Client, name string, did func(string)) error {
	rules, err := os.ReadFile(filepath.Join(s.Root, "consul-config", "agents", name+".hcl"))
	if err != nil {
		return err
	}
	w := (&consulapi.WriteOptions{}).WithContext(ctx)
	want := &consulapi.ACLPolicy{Name: "agent-" + name, Description: "The " + name + " agents", Rules: string(rules)}
	have, _, err := c.ACL().PolicyReadByName(want.Name, (&consulapi.QueryOptions{}).WithContext(ctx))
	switch {
	case err != nil:
		return err
	case have == nil:
		if _, _, err = c.ACL().PolicyCreate(want, w); err == nil {
			did("made Consul's policy " + want.Name)
		}
	case have.Rules != want.Rules:
		want.ID = have.ID
		if _, _, err = c.ACL().PolicyUpdate(want, w); err == nil {
			did("updated Consul's policy " + want.Name)
		}
	}
	return err
}
