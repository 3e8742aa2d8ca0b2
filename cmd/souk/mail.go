package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	gomail "github.com/wneessen/go-mail"
)

func mailCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "mail",
		Short: "List and show the e-mails that were written to files, as no SMTP server is configured",
	}
	root.AddCommand(&cobra.Command{
		Use: "list", Short: "List them, the newest last", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			mails, err := a.mails()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tWRITTEN\tTO\tSUBJECT")
			for _, m := range mails {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.id, m.written.Local().Format(time.DateTime), m.to, m.subject)
			}
			return w.Flush()
		},
	}, &cobra.Command{
		Use: "show ID", Short: "Show one: its id, or the start of it; `last` is the newest", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			m, err := a.findMail(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "To: %s\nSubject: %s\n\n%s\n", m.to, m.subject, m.text)
			return err
		},
	})
	return root
}

// writtenMail is an e-mail that notifications wrote to a file: <UTC time>-<kind>-<id>.eml.
type writtenMail struct {
	id, to, subject, text string
	written               time.Time
}

// mails are all of them, the oldest first.
func (a *app) mails() ([]writtenMail, error) {
	files, err := os.ReadDir(a.Path("mail")) // sorted by name, which begins with the time
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var mails []writtenMail
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".eml" { // one that is being written
			continue
		}
		m, err := readMail(a.Path("mail", f.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // its user was erased meanwhile
		case err != nil:
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		default:
			mails = append(mails, m)
		}
	}
	return mails, nil
}

func (a *app) findMail(id string) (writtenMail, error) {
	mails, err := a.mails()
	if err != nil {
		return writtenMail{}, err
	}
	if len(mails) > 0 && id == "last" {
		return mails[len(mails)-1], nil
	}
	var found []writtenMail
	for _, m := range mails {
		if strings.HasPrefix(m.id, id) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return writtenMail{}, fmt.Errorf("no e-mail has the id %q: `bin/souk mail list` shows all", id)
	}
	return writtenMail{}, fmt.Errorf("%d e-mails have an id that starts with %q: give more of it", len(found), id)
}

func readMail(path string) (writtenMail, error) {
	info, err := os.Stat(path)
	if err != nil {
		return writtenMail{}, err
	}
	message, err := gomail.EMLToMsgFromFile(path)
	if err != nil {
		return writtenMail{}, err
	}
	m := writtenMail{id: mailID(path), written: info.ModTime()}
	for _, to := range message.GetTo() {
		m.to = to.Address // there is one
	}
	if subject := message.GetGenHeader(gomail.HeaderSubject); len(subject) > 0 {
		if m.subject, err = (&mime.WordDecoder{}).DecodeHeader(subject[0]); err != nil {
			return writtenMail{}, err
		}
	}
	for _, part := range message.GetParts() {
		if part.GetContentType() == gomail.TypeTextPlain {
			text, err := part.GetContent()
			if err != nil {
				return writtenMail{}, err
			}
			m.text = strings.ReplaceAll(string(text), "\r\n", "\n")
		}
	}
	return m, nil
}

// mailID is what follows time and kind in the name.
func mailID(path string) string {
	parts := strings.SplitN(strings.TrimSuffix(filepath.Base(path), ".eml"), "-", 3)
	return parts[len(parts)-1]
}

// awaitMail waits for an e-mail to an address that was not there before.
func (a *app) awaitMail(ctx context.Context, to string, before map[string]bool) (writtenMail, error) {
	for {
		mails, err := a.mails()
		if err != nil {
			return writtenMail{}, err
		}
		for _, m := range mails {
			if !before[m.id] && m.to == to {
				return m, nil
			}
		}
		select {
		case <-ctx.Done():
			return writtenMail{}, fmt.Errorf("no e-mail to %s came: `nomad alloc logs -namespace=souk -job notifications` may say why: %w", to, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
