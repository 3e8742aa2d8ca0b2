package hashistack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	nomadapi "github.com/hashicorp/nomad/api"
)

// upNomad starts Nomad, bootstraps its ACLs, and waits until its node takes work.
func (s *Stack) upNomad(ctx context.Context, did func(string)) error {
	token, err := s.Secret(consulForNomad)
	if err != nil {
		return err
	}
	if err := s.ensure(ctx, "nomad", token, did, "agent", "-config"); err != nil {
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
	return s.Await(ctx, "nomad", func(ctx context.Context) error {
		q := (&nomadapi.QueryOptions{}).WithContext(ctx)
		_, _, err := c.ACLTokens().Self(q)
		if err != nil && isForbidden(err) {
			w := (&nomadapi.WriteOptions{}).WithContext(ctx)
			if _, _, err := c.ACLTokens().BootstrapOpts(management, w); err != nil {
				return fmt.Errorf("Nomad does not know secrets/%s: %w", nomadManagement, err)
			}
			did("bootstrapped Nomad's ACLs")
		} else if err != nil {
			return err
		}
		nodes, _, err := c.Nodes().List(q)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if n.Status != nomadapi.NodeStatusReady {
				continue
			}
			if n.SchedulingEligibility != nomadapi.NodeSchedulingEligible {
				if _, err := c.Nodes().ToggleEligibility(n.ID, true, (&nomadapi.WriteOptions{}).WithContext(ctx)); err != nil {
					return err
				}
				did("made the Nomad node eligible again")
			}
			return s.keysPublished(ctx)
		}
		return errors.New("its node is not ready yet")
	})
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
