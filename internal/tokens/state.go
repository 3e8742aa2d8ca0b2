package tokens

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/google/renameio/v2"
)

// stateFile keeps what must outlive a restart while users is away. It holds no secret.
type stateFile struct{ path string }

func stateIn(dir, name string) stateFile {
	if dir == "" {
		return stateFile{}
	}
	return stateFile{filepath.Join(dir, name)}
}

// load leaves v alone if nothing was kept.
func (s stateFile) load(v any) error {
	if s.path == "" {
		return nil
	}
	raw, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// store replaces the file in one step.
func (s stateFile) store(v any) error {
	if s.path == "" {
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return renameio.WriteFile(s.path, raw, 0o600)
}
