package discovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// saved keeps the last good list of one service on disk. The file's time of change says
// when Consul last confirmed it.
type saved struct{ path string }

func savedIn(dir, service string) saved {
	if dir == "" {
		return saved{}
	}
	return saved{path: filepath.Join(dir, "instances-"+service+".json")}
}

// load returns no list and no error if nothing was kept.
func (s saved) load() (list []Instance, confirmed time.Time, err error) {
	if s.path == "" {
		return nil, time.Time{}, nil
	}
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	raw, err := os.ReadFile(s.path)
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w", s.path, err)
	}
	return list, info.ModTime(), nil
}

// store replaces the file in one step: a reader sees the old list or the new one.
func (s saved) store(list []Instance) error {
	if s.path == "" {
		return nil
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return renameio.WriteFile(s.path, raw, 0o600)
}

// confirm notes that Consul gave the same list again.
func (s saved) confirm() error {
	if s.path == "" {
		return nil
	}
	now := time.Now()
	return os.Chtimes(s.path, now, now)
}
