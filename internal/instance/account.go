package instance

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Account is the OS user that all servers of an instance run as: the caller, or,
// when root calls, an unprivileged user (SOUK_RUN_AS, default nobody), as
// PostgreSQL and Elasticsearch refuse to run as root and none of the others
// needs it.
type Account struct {
	Name     string
	UID, GID int
	Drop     bool // the caller is root and must change to this user
}

func serverAccount() (Account, error) {
	if os.Geteuid() != 0 {
		u, err := user.Current()
		if err != nil {
			return Account{}, fmt.Errorf("current user: %w", err)
		}
		return accountOf(u, false)
	}
	name := os.Getenv("SOUK_RUN_AS")
	if name == "" {
		name = "nobody"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return Account{}, fmt.Errorf("no user %q to run the servers as: set SOUK_RUN_AS to an unprivileged user", name)
	}
	a, err := accountOf(u, true)
	if err == nil && a.UID == 0 {
		err = fmt.Errorf("SOUK_RUN_AS=%s is root: PostgreSQL and Elasticsearch refuse that; name an unprivileged user", name)
	}
	return a, err
}

func accountOf(u *user.User, drop bool) (Account, error) {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return Account{}, fmt.Errorf("user %s has no numeric id: %w", u.Username, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return Account{}, fmt.Errorf("user %s has no numeric group: %w", u.Username, err)
	}
	return Account{Name: u.Username, UID: uid, GID: gid, Drop: drop}, nil
}

// own gives path to the account; only root needs to.
func (a Account) own(path string) error {
	if !a.Drop {
		return nil
	}
	return os.Lchown(path, a.UID, a.GID)
}

// Reaches reports whether the account may enter every folder up to path.
func (a Account) Reaches(path string) bool { return a.blockedAt(path) == "" }

// blockedAt is the first folder on the way to path (itself included) that the
// account may not enter; empty if it may enter all that exist.
func (a Account) blockedAt(path string) string {
	if !a.Drop {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && !a.mayEnter(info) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

func (a Account) mayEnter(dir os.FileInfo) bool {
	st, ok := dir.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch {
	case int(st.Uid) == a.UID:
		return dir.Mode().Perm()&0o100 != 0
	case int(st.Gid) == a.GID:
		return dir.Mode().Perm()&0o010 != 0
	default:
		return dir.Mode().Perm()&0o001 != 0
	}
}
