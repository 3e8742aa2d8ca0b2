// Package instance is one installation of Souk on a machine: its home
// directory, its ports, the OS user that its servers run as, and its processes.
// Several instances live side by side with a home and a port base each.
package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Instance is resolved by Open; its directories exist only after Prepare.
type Instance struct {
	Root    string // the checkout: go.mod, stack/, nomad/, terraform/ ...
	Home    string // $SOUK_HOME: all state, mode 0700
	Ports   Ports
	Account Account // who the servers run as
}

// settings is what a home remembers, so that `souk down` needs no variables.
type settings struct {
	PortBase int `json:"port_base"`
}

const settingsName = "instance.json"

// Open finds the checkout, the home and the ports from the working directory and
// the environment (SOUK_HOME, SOUK_PORT_BASE, SOUK_RUN_AS). It writes nothing.
func Open() (*Instance, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	home, err := findHome(root, account)
	if err != nil {
		return nil, err
	}
	in := &Instance{Root: root, Home: home, Account: account}
	base, err := portBase(os.Getenv("SOUK_PORT_BASE"))
	if err != nil {
		return nil, err
	}
	kept, err := in.readSettings()
	if err != nil {
		return nil, err
	}
	switch {
	case base == 0 && kept.PortBase != 0:
		base = kept.PortBase
	case base == 0:
		base = DefaultPortBase
	case kept.PortBase != 0 && kept.PortBase != base:
		return nil, fmt.Errorf("%s was made with SOUK_PORT_BASE=%d, not %d: unset the variable, use another SOUK_HOME, or wipe it with `make down CLEAN=1` first",
			home, kept.PortBase, base)
	}
	in.Ports = portsFrom(base)
	return in, nil
}

// findRoot walks up from the working directory to the go.mod of module souk.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		raw, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(raw), "module souk\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside a checkout of Souk: change into one first", dir)
		}
	}
}

// findHome picks the home. Servers of an unprivileged account must be able to
// reach it, which they can't below a private folder such as root's own.
func findHome(root string, account Account) (string, error) {
	if home := os.Getenv("SOUK_HOME"); home != "" {
		abs, err := filepath.Abs(home)
		if err != nil {
			return "", fmt.Errorf("SOUK_HOME=%s: %w", home, err)
		}
		if blocked := account.blockedAt(filepath.Dir(abs)); blocked != "" {
			return "", fmt.Errorf("SOUK_HOME=%s: user %s, which runs the servers, may not enter %s: choose another place or SOUK_RUN_AS", abs, account.Name, blocked)
		}
		return abs, nil
	}
	return defaultHome(root, account, ""), nil
}

// DefaultHome is where an instance of the given name ("" for the usual one) of
// this checkout is kept when SOUK_HOME is not set.
func DefaultHome(name string) (string, error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	account, err := serverAccount()
	if err != nil {
		return "", err
	}
	return defaultHome(root, account, name), nil
}

func defaultHome(root string, account Account, name string) string {
	if name != "" {
		name = "-" + name
	}
	if account.Reaches(root) {
		return filepath.Join(root, ".souk"+name)
	}
	sum := sha256.Sum256([]byte(root))
	return filepath.Join("/var/lib/souk", hex.EncodeToString(sum[:])[:10]+name)
}

func (in *Instance) readSettings() (settings, error) {
	var s settings
	raw, err := os.ReadFile(in.Path(settingsName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err == nil && s.PortBase == 0 {
		err = errors.New("port_base is missing")
	}
	if err != nil {
		return s, in.broken(fmt.Errorf("read %s: %w", settingsName, err))
	}
	return s, nil
}

// broken says that the home can't be used as it is.
func (in *Instance) broken(err error) error {
	return fmt.Errorf("the state directory %s is broken (%w): restore it, point SOUK_HOME elsewhere, or start afresh with `make down CLEAN=1`", in.Home, err)
}

// Broken wraps err as damage of the home, with what to do about it.
func (in *Instance) Broken(err error) error { return in.broken(err) }

// Path joins elem below the home.
func (in *Instance) Path(elem ...string) string {
	return filepath.Join(append([]string{in.Home}, elem...)...)
}

// Exists reports whether the home has been prepared before.
func (in *Instance) Exists() bool {
	_, err := os.Stat(in.Path(settingsName))
	return err == nil
}

// Prepare makes the home and its folders with their owners and modes. What is
// there already is kept.
func (in *Instance) Prepare() error {
	if err := os.MkdirAll(filepath.Dir(in.Home), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", in.Home, err)
	}
	if info, err := os.Stat(in.Home); err == nil && !info.IsDir() {
		return in.broken(errors.New("it is a file"))
	}
	// Secrets and provisioning state belong to whoever calls souk, the rest to the servers.
	for _, d := range []struct {
		name    string
		servers bool
	}{{"", true}, {"bin", true}, {"apps", true}, {"servers", true}, {"config", true}, {"data", true}, {"data/consul", true}, {"data/vault", true}, {"data/nomad-server", true}, {"data/nomad-client", true}, {"logs", true}, {"mail", true}, {"plugins", true},
		{"secrets", false}, {"terraform", false}, {"pids", false}} {
		path := in.Path(d.name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return in.broken(err)
		}
		if err := os.Chmod(path, 0o700); err != nil {
			return in.broken(err)
		}
		if d.servers {
			if err := in.Account.own(path); err != nil {
				return in.broken(err)
			}
		}
	}
	if err := in.makeSocketDir(); err != nil {
		return err
	}
	raw, err := json.Marshal(settings{PortBase: in.Ports.Base})
	if err != nil {
		return err
	}
	return in.WriteFile(settingsName, raw, 0o600)
}

// SocketDir holds unix sockets. Their paths are limited to about 100 bytes, so a
// deep home has its sockets under the system's temporary folder.
func (in *Instance) SocketDir() string {
	if dir := in.Path("run"); len(dir) <= 80 {
		return dir
	}
	sum := sha256.Sum256([]byte(in.Home))
	return filepath.Join("/tmp", "souk-"+hex.EncodeToString(sum[:])[:10])
}

func (in *Instance) makeSocketDir() error {
	dir := in.SocketDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return in.broken(err)
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return in.broken(fmt.Errorf("%s is not a directory", dir))
	}
	// Under /tmp anybody could have made it first.
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && int(st.Uid) != in.Account.UID {
		return in.broken(fmt.Errorf("%s belongs to user %d", dir, st.Uid))
	}
	if err := in.Account.own(dir); err != nil {
		return in.broken(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return in.broken(err)
	}
	return nil
}

// ClearSockets removes what ended processes left in the socket directory.
func (in *Instance) ClearSockets() error {
	entries, err := os.ReadDir(in.SocketDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(in.SocketDir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Wipe removes the home and everything in it. Nothing may run any more.
func (in *Instance) Wipe() error {
	if dir := in.SocketDir(); dir != in.Path("run") {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	// A folder that is no home of Souk's is not Souk's to remove.
	if _, err := os.Stat(in.Home); err == nil && !in.Exists() {
		if _, err := os.Stat(in.Path("secrets")); err != nil {
			return fmt.Errorf("%s does not look like a home of Souk's: remove it yourself", in.Home)
		}
	}
	return os.RemoveAll(in.Home)
}

// OpenBroken is Open for a home whose settings can't be read, so that it can be
// stopped and wiped.
func OpenBroken() (*Instance, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	home, err := findHome(root, account)
	if err != nil {
		return nil, err
	}
	return &Instance{Root: root, Home: home, Account: account, Ports: portsFrom(DefaultPortBase)}, nil
}
