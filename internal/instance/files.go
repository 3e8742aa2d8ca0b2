package instance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// WriteFile replaces a file below the home in one step: a reader, or a start
// after a crash, sees the old content or the new, never half of it.
func (in *Instance) WriteFile(name string, data []byte, mode os.FileMode) error {
	return in.write(name, data, mode, false)
}

// WriteServerFile is WriteFile for a file that the servers' user must read.
func (in *Instance) WriteServerFile(name string, data []byte, mode os.FileMode) error {
	return in.write(name, data, mode, true)
}

func (in *Instance) write(name string, data []byte, mode os.FileMode, servers bool) error {
	path := in.Path(name)
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil && servers {
		err = in.Account.own(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Secret reads secrets/name; it returns fs.ErrNotExist if there is none yet.
func (in *Instance) Secret(name string) (string, error) {
	raw, err := os.ReadFile(in.Path("secrets", name))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", in.broken(fmt.Errorf("secrets/%s is empty", name))
	}
	return text, nil
}

// KeepSecret writes secrets/name, readable by its owner alone.
func (in *Instance) KeepSecret(name, value string) error {
	return in.WriteFile(filepath.Join("secrets", name), []byte(value+"\n"), 0o600)
}

// TokenSecret returns secrets/name, drawn as a random UUID the first time. It is
// on disk before any server hears of it, so an interruption can't lose it.
func (in *Instance) TokenSecret(name string) (string, error) {
	value, err := in.Secret(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return value, err
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	value = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	return value, in.KeepSecret(name, value)
}

// Lock keeps a second `souk up` or `down` on the same home waiting. waiting is
// called once if there is one at work.
func (in *Instance) Lock(ctx context.Context, waiting func()) (unlock func(), err error) {
	path := in.lockPath()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", filepath.Dir(path), err)
	}
	l := flock.New(path)
	ok, err := l.TryLock()
	if err == nil && !ok {
		waiting()
		ok, err = l.TryLockContext(ctx, 200*time.Millisecond)
	}
	if err != nil || !ok {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = l.Unlock() }, nil
}

func (in *Instance) lockPath() string { return in.Home + ".lock" }

// RemoveLock removes the lock's file after the home is gone.
func (in *Instance) RemoveLock() error { return os.Remove(in.lockPath()) }
