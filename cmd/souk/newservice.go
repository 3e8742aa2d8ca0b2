package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newServiceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new-service NAME",
		Short: "Lay out a new service with everything that it needs to run; changes no file that is there",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one service: make new-service NAME=returns")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			d, err := draftService(a.Root, args[0])
			if err != nil {
				return err
			}
			if err := d.write(); err != nil {
				return fmt.Errorf("lay out %s: %w", d.name, err)
			}
			a.say("%s", d.summary())
			return nil
		},
	}
}

// scaffold is a service like any other: it is compiled, checked and tested with the rest. Its name is that of the
// job which may do what every service may.
const (
	scaffold     = "cmd/souk/scaffold"
	scaffoldName = "probe"
)

// model is a file that one of a new service is made from, by changing the name.
type model struct {
	file, name string
	copy       string // $ stands for the service, * for each environment
	title      string // the first comment, if that speaks of the model alone
}

// models are files in use wherever there is one, so that the copy is what works today.
var models = []model{
	{file: "nomad/apps/catalog.nomad.hcl", name: "catalog", copy: "nomad/apps/$.nomad.hcl", title: "# $: items, in PostgreSQL."},
	{file: "vault-policies/inventory.hcl", name: "inventory", copy: "vault-policies/$.hcl", title: "# $: items."},
	{file: "consul-config/acl/probe.hcl", name: "probe", copy: "consul-config/acl/$.hcl", title: "# $: PostgreSQL."},
	{file: "consul-config/service-defaults/catalog.hcl", name: "catalog", copy: "consul-config/service-defaults/$.hcl"},
	{file: scaffold + "/intentions.hcl", name: scaffoldName, copy: "consul-config/service-intentions/$.hcl"},
	{file: scaffold + "/config.yaml", name: scaffoldName, copy: "consul-config/kv/*/$.yaml"},
}

// notLaidOut are files of the scaffold that don't go into the service's folder.
var notLaidOut = []string{"intentions.hcl", "config.yaml", "scaffold_test.go"}

// draft is a service that is not written yet.
type draft struct {
	root, name string
	folder     map[string][]byte // of services/<name>
	files      map[string][]byte // elsewhere in the checkout
	kept       []string          // there already
}

// draftService makes the service up in memory; it changes nothing.
func draftService(root, name string) (*draft, error) {
	if err := checkServiceName(name); err != nil {
		return nil, err
	}
	d := &draft{root: root, name: name, folder: map[string][]byte{}, files: map[string][]byte{}}
	there, err := d.exists("services/" + name)
	if err != nil {
		return nil, err
	}
	if there {
		return nil, fmt.Errorf("services/%s is there already: choose another name, or remove it first", name)
	}
	if err := d.addFolder(); err != nil {
		return nil, err
	}
	for _, m := range models {
		if err := d.addCopies(m); err != nil {
			return nil, err
		}
	}
	return d, nil
}

var serviceNamePattern = regexp.MustCompile(`^[a-z][a-z0-9]{1,29}$`)

// reservedNames have a meaning where a service's name would stand.
var reservedNames = map[string]string{
	"gateway": "it is the program that is not under services/", "reconcile": "it is the job that compares the books", "probe": "it is the job that tests use",
	"internal": "Go gives such a folder a meaning", "vendor": "Go gives such a folder a meaning", "testdata": "Go gives such a folder a meaning",
	"default": "Vault has a policy of that name", "root": "Vault has a policy of that name",
	"consul": "it is a server's", "vault": "it is a server's", "nomad": "it is a server's",
	"template0": "PostgreSQL has a database of that name", "template1": "PostgreSQL has a database of that name",
}

func checkServiceName(name string) error {
	if !serviceNamePattern.MatchString(name) {
		return fmt.Errorf("%q can't name a service: use 2 to 30 lower-case letters and digits, a letter first", name)
	}
	why := reservedNames[name]
	if slices.Contains(infraJobs, name) {
		why = "it is a server's"
	}
	if why != "" {
		return fmt.Errorf("%q can't name a service: %s", name, why)
	}
	return nil
}

func (d *draft) exists(file string) (bool, error) {
	_, err := os.Lstat(filepath.Join(d.root, filepath.FromSlash(file)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// addFolder takes the scaffold's files into the service's folder.
func (d *draft) addFolder() error {
	from := os.DirFS(filepath.Join(d.root, filepath.FromSlash(scaffold)))
	return fs.WalkDir(from, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("read %s: %w", scaffold, err)
		}
		if !entry.Type().IsRegular() || strings.HasPrefix(path.Base(file), ".") || slices.Contains(notLaidOut, file) {
			return nil
		}
		raw, err := fs.ReadFile(from, file)
		if err != nil {
			return err
		}
		raw = bytes.ReplaceAll(raw, []byte("souk/"+scaffold), []byte("souk/services/"+d.name))
		raw = rename(raw, scaffoldName, d.name)
		if path.Ext(file) == ".go" { // imports sort anew, what is aligned with the name too
			if raw, err = format.Source(raw); err != nil {
				return fmt.Errorf("%s/%s: %w", scaffold, file, err)
			}
		}
		d.folder[file] = raw
		return nil
	})
}

// addCopies takes a model's copy for this service, one an environment where they differ in that.
func (d *draft) addCopies(m model) error {
	raw, err := os.ReadFile(filepath.Join(d.root, filepath.FromSlash(m.file)))
	if err != nil {
		return fmt.Errorf("what %s would be made from: %w", m.copy, err)
	}
	raw = rename(raw, m.name, d.name)
	if m.title != "" {
		_, rest, _ := bytes.Cut(raw, []byte("\n"))
		raw = append([]byte(strings.ReplaceAll(m.title, "$", d.name)+"\n"), rest...)
	}
	folders, err := fs.Glob(os.DirFS(d.root), path.Dir(m.copy))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		file := path.Join(folder, strings.ReplaceAll(path.Base(m.copy), "$", d.name))
		there, err := d.exists(file)
		switch {
		case err != nil:
			return err
		case there:
			d.kept = append(d.kept, file)
		default:
			d.files[file] = raw
		}
	}
	return nil
}

// rename changes a name where it is a word, or the first of several joined by underscores.
func rename(text []byte, from, to string) []byte {
	return regexp.MustCompile(`\b`+from+`(_|\b)`).ReplaceAll(text, []byte(to+"${1}"))
}
