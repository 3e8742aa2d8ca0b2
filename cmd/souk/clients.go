package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// oauthClient is what these commands need to know of a client in the configuration of users.
type oauthClient struct {
	ID         string   `yaml:"id"`
	Name       string   `yaml:"name"`
	Public     bool     `yaml:"public"` // it can keep no secret: an app on somebody's machine, or in a browser
	GrantTypes []string `yaml:"grant_types"`
	Scopes     []string `yaml:"scopes"`
}

// clientSecretField holds a client's secrets, newest first, one a line.
func clientSecretField(id string) string { return "client_secret_" + id }

func clientsCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "clients",
		Short: "List the OAuth clients of this instance and give them new secrets",
		Long: `Clients are configured in consul-config/kv/<env>/users.yaml. Those that are not public have a secret,
which is in Vault (secret/souk/users) and nowhere else. A new one counts within half a minute; the one
before it stays good until the next rotation, so that the client can be changed in between.`,
	}
	root.AddCommand(&cobra.Command{
		Use: "list", Short: "List them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			clients, err := a.oauthClients(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tKIND\tGRANTS\tSCOPES")
			for _, c := range clients {
				kind := "confidential"
				if c.Public {
					kind = "public"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.ID, kind, strings.Join(c.GrantTypes, " "), strings.Join(c.Scopes, " "))
			}
			return w.Flush()
		},
	}, &cobra.Command{
		Use: "rotate ID", Short: "Make a new secret and print it, this once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			secret, err := a.rotateClientSecret(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
			return err
		},
	})
	return root
}

// runningApp is the instance, if it runs.
func runningApp() (*app, error) {
	a, err := newApp(os.Stdout)
	if err != nil {
		return nil, err
	}
	if a.PID("nomad-client") == 0 {
		return nil, errors.New("nothing is running: `make up` starts it")
	}
	return a, nil
}

// oauthClients are those that Consul has for users.
func (a *app) oauthClients(ctx context.Context) ([]oauthClient, error) {
	consul, err := a.hashistack().Consul()
	if err != nil {
		return nil, err
	}
	pair, _, err := consul.KV().Get("souk/"+devEnvironment+"/users", nil)
	if err != nil || pair == nil {
		return nil, errors.Join(errors.New("no configuration of users in Consul: `bin/souk config push` writes it"), err)
	}
	var document struct {
		Clients []oauthClient `yaml:"clients"`
	}
	if err := yaml.Unmarshal(pair.Value, &document); err != nil {
		return nil, fmt.Errorf("the configuration of users in Consul: %w", err)
	}
	return document.Clients, ctx.Err()
}

// ensureClientSecrets gives every client that needs a secret and has none its first.
func (a *app) ensureClientSecrets(ctx context.Context) error {
	clients, err := a.oauthClients(ctx)
	if err != nil {
		return err
	}
	return a.changeSecret(ctx, "users", func(data map[string]any) (changed bool) {
		for _, c := range clients {
			if field := clientSecretField(c.ID); !c.Public && data[field] == nil {
				data[field] = rand.Text()
				changed = true
			}
		}
		return changed
	})
}

// rotateClientSecret puts a new secret before the newest one, which stays good.
func (a *app) rotateClientSecret(ctx context.Context, id string) (string, error) {
	clients, err := a.oauthClients(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(clients, func(c oauthClient) bool { return c.ID == id })
	switch {
	case at < 0:
		return "", fmt.Errorf("there is no client %q: `bin/souk clients list` shows those that there are", id)
	case clients[at].Public:
		return "", fmt.Errorf("client %q is public, it has no secret", id)
	}
	secret := rand.Text()
	err = a.changeSecret(ctx, "users", func(data map[string]any) bool {
		newest, _, _ := strings.Cut(fmt.Sprint(data[clientSecretField(id)]), "\n")
		data[clientSecretField(id)] = strings.TrimSpace(secret + "\n" + newest)
		return true
	})
	return secret, err
}

// clientSecret is the newest of a client.
func (a *app) clientSecret(ctx context.Context, id string) (string, error) {
	data, _, err := a.secret(ctx, "users")
	if err != nil {
		return "", err
	}
	secret, _ := data[clientSecretField(id)].(string)
	if secret, _, _ = strings.Cut(secret, "\n"); secret == "" {
		return "", fmt.Errorf("no secret of the client %s in Vault: `make up` makes it", id)
	}
	return secret, nil
}
