package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// tokenKey is the transit key that signs users' tokens; the mount is transit/.
const tokenKey = "souk-tokens"

func keysCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "keys",
		Short: "List and rotate the key that signs users' tokens",
		Long: `The private key never leaves Vault. A new version is published with the others first (/oauth2/jwks) and signs
a while later (publish_delay in the configuration of users), when everybody who verifies tokens has it. Versions
before it stay published until the last token that they signed has run out, so nobody is logged out.`,
	}
	root.AddCommand(&cobra.Command{
		Use: "list", Short: "List its versions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			versions, err := a.tokenKeyVersions(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "VERSION\tMADE")
			for _, v := range versions {
				fmt.Fprintf(w, "%d\t%s\n", v.number, v.made.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}, &cobra.Command{
		Use: "rotate", Short: "Make a new version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			vault, err := a.hashistack().Vault()
			if err != nil {
				return err
			}
			if _, err := vault.Logical().WriteWithContext(cmd.Context(), "transit/keys/"+tokenKey+"/rotate", nil); err != nil {
				return fmt.Errorf("rotate the key: %w", err)
			}
			versions, err := a.tokenKeyVersions(cmd.Context())
			if err != nil {
				return err
			}
			newest := versions[len(versions)-1]
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "version %d is made; it is published within 10 s and signs after publish_delay\n", newest.number)
			return err
		},
	})
	return root
}

type keyVersion struct {
	number int
	made   time.Time
}

// tokenKeyVersions are those that Vault has, oldest first.
func (a *app) tokenKeyVersions(ctx context.Context) ([]keyVersion, error) {
	vault, err := a.hashistack().Vault()
	if err != nil {
		return nil, err
	}
	secret, err := vault.Logical().ReadWithContext(ctx, "transit/keys/"+tokenKey)
	if err != nil || secret == nil {
		return nil, errors.Join(errors.New("no key "+tokenKey+" in Vault: `make up` makes it"), err)
	}
	raw, err := json.Marshal(secret.Data["keys"])
	if err != nil {
		return nil, err
	}
	var keys map[string]struct {
		Made time.Time `json:"creation_time"`
	}
	if err := json.Unmarshal(raw, &keys); err != nil || len(keys) == 0 {
		return nil, errors.Join(errors.New("no version of the key is in Vault's answer"), err)
	}
	versions := make([]keyVersion, 0, len(keys))
	for name, key := range keys {
		number, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("version %q of the key: %w", name, err)
		}
		versions = append(versions, keyVersion{number, key.Made})
	}
	slices.SortFunc(versions, func(x, y keyVersion) int { return x.number - y.number })
	return versions, nil
}
