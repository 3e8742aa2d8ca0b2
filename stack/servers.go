// Package stack knows the third-party servers that Souk runs: which version of
// each, where on PATH it may be found, and how it is built or fetched once into
// a per-user cache. Each server's pins live in a folder of this directory: a Go
// tool module (go.mod, go.sum) or a Maven pom.
package stack

import (
	"regexp"
	"runtime"
)

// Server is one pinned third-party server, or a tool that provisions them.
type Server struct {
	Name    string // folder under stack/, and the name of its cache entry
	Version string // as upstream writes it, without a leading "v"
	Licence string // SPDX identifier of the server's own licence
	Go      []GoBinary
	Maven   *MavenLayout
	PATH    []OnPATH // programs on PATH that serve as well, best first
}

// GoBinary is one program of a tool module.
type GoBinary struct {
	Name    string // file name of the program
	Package string
	Tags    string
	CGO     bool // needs a C compiler
}

// MavenLayout is a server laid out by its pom (phase generate-resources, which
// writes below the folder given as -Dsouk.out).
type MavenLayout struct {
	Args   []string // further -D arguments
	Unpack string   // glob of one .txz archive to unpack and remove, if any
}

// OnPATH names a program that replaces Souk's own build when its version fits.
type OnPATH struct {
	Program string
	Args    []string       // arguments that print the version
	Version *regexp.Regexp // first group is the version
	Fits    *regexp.Regexp // versions that serve
	Wants   string         // Fits in words
	With    []string       // programs that must stand beside it
}

// Servers lists every pin in the order in which a shop needs them: agents first,
// then what provisions them, then what Nomad runs.
func Servers() []Server {
	return []Server{
		{
			Name: "consul", Version: "1.20.1", Licence: "BUSL-1.1",
			Go: []GoBinary{{Name: "consul", Package: "github.com/hashicorp/consul"}},
			PATH: []OnPATH{{Program: "consul", Args: []string{"version"}, Wants: "1.20.x",
				Version: regexp.MustCompile(`Consul v(\S+)`), Fits: regexp.MustCompile(`^1\.20\.\d+(\+ent)?$`)}},
		},
		{
			Name: "vault", Version: "1.21.1", Licence: "BUSL-1.1",
			// The minimal build leaves out the auth and storage plug-ins of cloud vendors, none of
			// which Souk uses, and takes a third of the time.
			Go: []GoBinary{{Name: "vault", Package: "github.com/hashicorp/vault", Tags: "minimal"}},
			PATH: []OnPATH{{Program: "vault", Args: []string{"version"}, Wants: "1.21.x",
				Version: regexp.MustCompile(`Vault v([^\s,]+)`), Fits: regexp.MustCompile(`^1\.21\.\d+(\+ent)?$`)}},
		},
		{
			// A pin of its own, as it is needed also beside a Vault from PATH. It shares the module.
			Name: "vault-postgresql-plugin", Version: "1.21.1", Licence: "BUSL-1.1",
			Go: []GoBinary{{Name: "postgresql-database-plugin",
				Package: "github.com/hashicorp/vault/plugins/database/postgresql/postgresql-database-plugin"}},
		},
		{
			Name: "nomad", Version: "1.11.0", Licence: "BUSL-1.1",
			// The release tag leaves out the mock driver of Nomad's own tests.
			Go: []GoBinary{{Name: "nomad", Package: "github.com/hashicorp/nomad", Tags: "release", CGO: true}},
			PATH: []OnPATH{{Program: "nomad", Args: []string{"version"}, Wants: "1.11.x",
				Version: regexp.MustCompile(`Nomad v(\S+)`), Fits: regexp.MustCompile(`^1\.11\.\d+(\+ent)?$`)}},
		},
		{
			Name: "opentofu", Version: "1.10.6", Licence: "MPL-2.0",
			Go: []GoBinary{{Name: "tofu", Package: "github.com/opentofu/opentofu/cmd/tofu"}},
			PATH: []OnPATH{
				{Program: "tofu", Args: []string{"version"}, Wants: "1.6 or newer",
					Version: regexp.MustCompile(`OpenTofu v(\S+)`), Fits: atLeast16},
				{Program: "terraform", Args: []string{"version"}, Wants: "1.6 or newer",
					Version: regexp.MustCompile(`Terraform v(\S+)`), Fits: atLeast16},
			},
		},
		{
			Name: "terraform-provider-vault", Version: "3.3.1", Licence: "MPL-2.0",
			Go: []GoBinary{{Name: "terraform-provider-vault", Package: "github.com/hashicorp/terraform-provider-vault"}},
		},
		{
			Name: "postgres", Version: "17.6", Licence: "PostgreSQL",
			Maven: &MavenLayout{Args: []string{"-Dsouk.postgres.platform=" + postgresPlatform()}, Unpack: "*.txz"},
			PATH: []OnPATH{{Program: "postgres", Args: []string{"--version"}, Wants: "17.x",
				Version: regexp.MustCompile(`PostgreSQL\) (\S+)`), Fits: regexp.MustCompile(`^17\.\d+`), With: []string{"initdb", "pg_ctl"}}},
		},
		{Name: "kafka", Version: "4.1.0", Licence: "Apache-2.0", Maven: &MavenLayout{}},
		{Name: "mongo", Version: "1.47.0", Licence: "BSD-3-Clause", Maven: &MavenLayout{}},
		{Name: "elasticsearch", Version: "7.17.28", Licence: "Elastic-2.0 OR SSPL-1.0", Maven: &MavenLayout{}},
		{
			Name: "prometheus", Version: "3.16.0", Licence: "Apache-2.0",
			Go: []GoBinary{
				{Name: "prometheus", Package: "github.com/prometheus/prometheus/cmd/prometheus", Tags: prometheusTags},
				{Name: "promtool", Package: "github.com/prometheus/prometheus/cmd/promtool", Tags: prometheusTags},
			},
			PATH: []OnPATH{{Program: "prometheus", Args: []string{"--version"}, Wants: "3.x",
				Version: regexp.MustCompile(`prometheus, version (\S+)`), Fits: regexp.MustCompile(`^3\.\d+`), With: []string{"promtool"}}},
		},
	}
}

// prometheusTags leave out every service discovery but Consul's.
const prometheusTags = "remove_all_sd,enable_consul_sd"

var atLeast16 = regexp.MustCompile(`^1\.([6-9]|\d\d+)\.`)

func postgresPlatform() string {
	if runtime.GOARCH == "arm64" {
		return runtime.GOOS + "-arm64v8"
	}
	return runtime.GOOS + "-" + runtime.GOARCH
}

// module is the folder of s's tool module under stack/.
func (s Server) module() string {
	if s.Name == "vault-postgresql-plugin" {
		return "vault"
	}
	return s.Name
}
