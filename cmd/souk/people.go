package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// exampleRoles each have a user in a development shop: customer@example.com and so on.
var exampleRoles = []string{"customer", "support", "merchandiser", "admin"}

func exampleEmail(role string) string        { return role + "@example.com" }
func examplePasswordFile(role string) string { return "example-" + role + ".password" }

func tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "token ROLE",
		Short: "Log an example user in and print the access token, for curl",
		Long: `The example users of a development shop are ` + strings.Join(exampleRoles, ", ") + `: each is ROLE@example.com,
with the password in secrets/example-ROLE.password below SOUK_HOME. A token lasts ten minutes:

  curl -H "Authorization: Bearer $(bin/souk token customer)" http://127.0.0.1:20000/v1/users/me`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(exampleRoles, args[0]) {
				return errors.New("name one of " + strings.Join(exampleRoles, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			password, err := a.Secret(examplePasswordFile(args[0]))
			if err != nil {
				return fmt.Errorf("the example users are not there: `make up` makes them: %w", err)
			}
			tokens, err := a.logIn(cmd.Context(), exampleEmail(args[0]), password)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), tokens.Access)
			return err
		},
	}
}

// tokens are what a login gives.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Seconds int    `json:"expires_in"`
	Scope   string `json:"scope"`
	Session string `json:"session_id"`
}

func (a *app) logIn(ctx context.Context, email, password string) (t tokens, err error) {
	err = a.shopAs("").call(ctx, http.MethodPost, "/v1/sessions", map[string]string{"email": email, "password": password}, &t)
	return t, err
}

// person is what the shop says of a user.
type person struct {
	ID    string   `json:"id"`
	Email string   `json:"email"`
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
}

// ensureExampleUsers makes those that are missing, the way that everybody becomes a user.
func (a *app) ensureExampleUsers(ctx context.Context) (made int, err error) {
	operator, err := a.shopAsOperator(ctx)
	if err != nil {
		return 0, err
	}
	for _, role := range exampleRoles {
		found, err := operator.find(ctx, exampleEmail(role))
		if err != nil {
			return made, err
		}
		if found == nil {
			password, err := a.examplePassword(role)
			if err != nil {
				return made, err
			}
			if err := a.register(ctx, exampleEmail(role), password, "Example "+role); err != nil {
				return made, err
			}
			if found, err = operator.find(ctx, exampleEmail(role)); err != nil || found == nil {
				return made, errors.Join(fmt.Errorf("%s is verified but not to be found", exampleEmail(role)), err)
			}
			made++
		}
		if role != "customer" && !slices.Contains(found.Roles, role) {
			if err := operator.setRoles(ctx, found.ID, "customer", role); err != nil {
				return made, err
			}
		}
	}
	return made, nil
}

func (a *app) examplePassword(role string) (string, error) {
	password, err := a.Secret(examplePasswordFile(role))
	if errors.Is(err, fs.ErrNotExist) {
		password = rand.Text()
		err = a.KeepSecret(examplePasswordFile(role), password)
	}
	return password, err
}

// mailLimit is how long an e-mail may take from the request to its file.
const mailLimit = 30 * time.Second

var linkToken = regexp.MustCompile(`https?://\S+[?&]token=([A-Za-z0-9_-]+)`)

// register makes a user and follows the link in the e-mail.
func (a *app) register(ctx context.Context, email, password, name string) error {
	ctx, cancel := context.WithTimeout(ctx, mailLimit)
	defer cancel()
	mails, err := a.mails()
	if err != nil {
		return err
	}
	before := map[string]bool{}
	for _, m := range mails {
		before[m.id] = true
	}
	visitor := a.shopAs("")
	if err := visitor.repeated(ctx, http.MethodPost, "/v1/users", map[string]string{"email": email, "password": password, "name": name}, nil); err != nil {
		return err
	}
	mail, err := a.awaitMail(ctx, email, before)
	if err != nil {
		return err
	}
	link := linkToken.FindStringSubmatch(mail.text)
	if link == nil {
		return fmt.Errorf("the e-mail %s holds no link to follow: `bin/souk mail show %s`", mail.id, mail.id)
	}
	return visitor.call(ctx, http.MethodPost, "/v1/email-verifications", map[string]string{"token": link[1]}, nil)
}

// find is the user with an e-mail address, nil if there is none.
func (s shop) find(ctx context.Context, email string) (*person, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var page struct {
		Items []person `json:"items"`
	}
	if err := s.repeated(ctx, http.MethodGet, "/v1/users?email="+url.QueryEscape(email), nil, &page); err != nil || len(page.Items) == 0 {
		return nil, err
	}
	return &page.Items[0], nil
}

func (s shop) setRoles(ctx context.Context, id string, roles ...string) error {
	return s.call(ctx, http.MethodPut, "/v1/users/"+id+"/roles", map[string][]string{"roles": roles}, nil, "If-Match", "*")
}
