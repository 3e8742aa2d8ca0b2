package hashistack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	vaultapi "github.com/hashicorp/vault/api"
)

// vaultKeys is what initialising Vault returns, kept in secrets/vault-init.json.
type vaultKeys struct {
	UnsealKeys []string `json:"unseal_keys_b64"`
	RootToken  string   `json:"root_token"`
}

func (s *Stack) vaultKeys() (vaultKeys, error) {
	var keys vaultKeys
	raw, err := s.Secret(vaultInit)
	if err != nil {
		return keys, err
	}
	if err := json.Unmarshal([]byte(raw), &keys); err != nil || len(keys.UnsealKeys) == 0 || keys.RootToken == "" {
		return keys, s.Broken(fmt.Errorf("secrets/%s is not what Vault's initialisation returned", vaultInit))
	}
	return keys, nil
}

// upVault starts Vault, initialises and unseals it, and registers the plugin
// through which it makes PostgreSQL credentials.
func (s *Stack) upVault(ctx context.Context, did func(string)) error {
	token, err := s.Secret(consulForVault)
	if err != nil {
		return err
	}
	if err := s.ensure(ctx, "vault", token, did, "server", "-config"); err != nil {
		return err
	}
	c, err := s.vaultAs("")
	if err != nil {
		return err
	}
	initialised, err := s.vaultInitialised(ctx, c)
	if err != nil {
		return err
	}
	if initialised && s.initialisationLost() {
		did("an interrupted start lost the keys of a Vault that was still empty: making it anew")
		if err := s.emptyVault(ctx); err != nil {
			return err
		}
		return s.upVault(ctx, did)
	}
	if err := s.initVault(ctx, c, initialised, did); err != nil {
		return err
	}
	keys, err := s.vaultKeys()
	if err != nil {
		return err
	}
	err = s.Await(ctx, "vault", func(ctx context.Context) error {
		status, err := c.Sys().SealStatusWithContext(ctx)
		if err == nil && status.Sealed {
			if status, err = c.Sys().UnsealWithContext(ctx, keys.UnsealKeys[0]); err == nil && !status.Sealed {
				did("unsealed Vault")
			}
		}
		if err != nil {
			return err
		}
		health, err := c.Sys().HealthWithContext(ctx)
		if err == nil && (health.Sealed || health.Standby) {
			err = errors.New("not active yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	// A file of its own for command-line tools, which take no JSON.
	if have, _ := s.Secret(vaultRoot); have != keys.RootToken {
		if err := s.KeepSecret(vaultRoot, keys.RootToken); err != nil {
			return err
		}
	}
	c.SetToken(keys.RootToken)
	if _, err := c.Auth().Token().LookupSelfWithContext(ctx); err != nil {
		return s.Broken(fmt.Errorf("Vault does not take the token in secrets/%s: %w", vaultInit, err))
	}
	return s.registerPlugin(ctx, c, did)
}

func (s *Stack) initVault(ctx context.Context, c *vaultapi.Client, initialised bool, did func(string)) error {
	_, err := s.Secret(vaultInit)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case initialised && err != nil:
		return s.Broken(fmt.Errorf("Vault is initialised but secrets/%s, which unseals it, is missing", vaultInit))
	case !initialised && err == nil:
		return s.Broken(fmt.Errorf("secrets/%s belongs to a Vault whose data is gone", vaultInit))
	case initialised:
		return nil
	}
	// From here to the file on disk nothing may interrupt: the keys exist only in the answer.
	ctx = context.WithoutCancel(ctx)
	if err := s.KeepSecret(vaultPending, "initialising"); err != nil {
		return err
	}
	answer, err := c.Sys().InitWithContext(ctx, &vaultapi.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialise Vault: %w", err)
	}
	raw, err := json.Marshal(vaultKeys{UnsealKeys: answer.KeysB64, RootToken: answer.RootToken})
	if err != nil {
		return err
	}
	if err := s.KeepSecret(vaultInit, string(raw)); err != nil {
		return err
	}
	did("initialised Vault")
	return os.Remove(s.Path("secrets", vaultPending))
}

func (s *Stack) vaultInitialised(ctx context.Context, c *vaultapi.Client) (initialised bool, err error) {
	err = s.Await(ctx, "vault", func(ctx context.Context) (err error) {
		initialised, err = c.Sys().InitStatusWithContext(ctx)
		return err
	})
	return initialised, err
}

// initialisationLost reports that souk was killed after it asked Vault to
// initialise itself and before it kept the answer. Nobody ever had a token for
// that Vault, so it holds nothing.
func (s *Stack) initialisationLost() bool {
	_, keys := s.Secret(vaultInit)
	_, pending := s.Secret(vaultPending)
	return errors.Is(keys, fs.ErrNotExist) && pending == nil
}

func (s *Stack) emptyVault(ctx context.Context) error {
	if err := s.StopAgent(ctx, "vault"); err != nil {
		return err
	}
	if err := os.RemoveAll(s.Path("data", "vault")); err != nil {
		return err
	}
	if err := os.Remove(s.Path("secrets", vaultPending)); err != nil {
		return err
	}
	return s.Prepare()
}

const postgresPlugin = "postgresql-database-plugin"

// registerPlugin registers the plugin's file by its SHA-256, so that Vault runs
// this build of it and no other.
func (s *Stack) registerPlugin(ctx context.Context, c *vaultapi.Client, did func(string)) error {
	raw, err := os.ReadFile(s.Programs[postgresPlugin])
	if err != nil {
		return err
	}
	digest := sha256.Sum256(raw)
	sum := hex.EncodeToString(digest[:])
	have, err := c.Sys().GetPluginWithContext(ctx, &vaultapi.GetPluginInput{Name: postgresPlugin, Type: vaultapi.PluginTypeDatabase})
	if err == nil && have.SHA256 == sum {
		return nil
	}
	err = c.Sys().RegisterPluginWithContext(ctx, &vaultapi.RegisterPluginInput{
		Name: postgresPlugin, Type: vaultapi.PluginTypeDatabase,
		Command: filepath.Base(s.Programs[postgresPlugin]), SHA256: sum,
	})
	if err != nil {
		return fmt.Errorf("register Vault's PostgreSQL plugin: %w", err)
	}
	did("registered Vault's PostgreSQL plugin")
	return nil
}
