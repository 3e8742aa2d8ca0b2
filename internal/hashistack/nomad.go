package hashistack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

// upNomadServer starts the server, bootstraps its ACLs, and waits until it can
// vouch for workloads.
func (s *Stack) upNomadServer(ctx context.Context, did func(string)) error {
	token, err := s.Secret(consulForServer)
	if err != nil {
		return err
	}
	if err := s.ensure(ctx, "nomad-server", token, did, "agent", "-config"); err != nil {
		return err
	}
	management, err := s.TokenSecret(nomadManagement)
	if err != nil {
		return err
	}
	c, err := s.Nomad()
	if err != nil {
		return err
	}
	err = s.Await(ctx, "nomad-server", func(ctx context.Context) error {
		leader, err := c.Status().Leader()
		if err == nil && leader == "" {
			err = errors.New("no leader yet")
		}
		if err != nil {
			return err
		}
		_, _, err = c.ACLTokens().Self((&nomadapi.QueryOptions{}).WithContext(ctx))
		if err != nil && isForbidden(err) {
			_, _, err = c.ACLTokens().BootstrapOpts(management, (&nomadapi.WriteOptions{}).WithContext(ctx))
			if err == nil {
				did("bootstrapped Nomad's ACLs")
			} else if strings.Contains(err.Error(), "already done") {
				return nil // told below
			}
		}
		if err != nil {
			return err
		}
		return s.keysPublished(ctx)
	})
	if err != nil {
		return err
	}
	if _, _, err := c.ACLTokens().Self((&nomadapi.QueryOptions{}).WithContext(ctx)); err != nil {
		return s.Broken(fmt.Errorf("Nomad does not know secrets/%s: %w", nomadManagement, err))
	}
	return nil
}

// upNomadClient starts the client and waits until its node takes work.
func (s *Stack) upNomadClient(ctx context.Context, did func(string)) error {
	token, err := s.Secret(consulForClient)
	if err != nil {
		return err
	}
	if err := s.ensure(ctx, "nomad-client", token, did, "agent", "-config"); err != nil {
		return err
	}
	c, err := s.Nomad()
	if err != nil {
		return err
	}
	return s.Await(ctx, "nomad-client", func(ctx context.Context) error {
		node, err := readyNode(ctx, c)
		if err != nil || node.SchedulingEligibility == nomadapi.NodeSchedulingEligible {
			return err
		}
		if _, err := c.Nodes().ToggleEligibility(node.ID, true, (&nomadapi.WriteOptions{}).WithContext(ctx)); err != nil {
			return err
		}
		did("made the Nomad node eligible again")
		return nil
	})
}

// readyNode is the instance's node, once the server has heard from it.
func readyNode(ctx context.Context, c *nomadapi.Client) (*nomadapi.NodeListStub, error) {
	nodes, _, err := c.Nodes().List((&nomadapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if n.Status == nomadapi.NodeStatusReady {
			return n, nil
		}
	}
	return nil, errors.New("its node is not ready")
}

// isForbidden: Nomad answers 403 to a token that it does not know.
func isForbidden(err error) bool {
	answer := nomadapi.UnexpectedResponseError{}
	return errors.As(err, &answer) && answer.StatusCode() == http.StatusForbidden
}

// keysPublished wants a key at the address where Vault and Consul fetch what
// verifies workload identities: Nomad's API answers before its keyring does.
func (s *Stack) keysPublished(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.NomadAddr()+"/.well-known/jwks.json", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var keys struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&keys); err != nil {
		return err
	}
	if len(keys.Keys) == 0 {
		return errors.New("it has not published the keys of its identities yet")
	}
	return nil
}
