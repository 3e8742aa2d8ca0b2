package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
)

// CacheDir is the per-user folder that built and fetched servers are kept in:
// $XDG_CACHE_HOME/souk, or ~/.cache/souk.
func CacheDir() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "souk"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home directory: set HOME or XDG_CACHE_HOME, where Souk keeps the servers it builds")
	}
	return filepath.Join(home, ".cache", "souk"), nil
}

// manifest is written last into a cache entry: without it, or with a file that
// differs from it, the entry counts as absent.
type manifest struct {
	Server string            `json:"server"`
	Files  map[string]string `json:"files"` // relative path -> sha256, "-> target" for a link, or "folder"
}

const manifestName = ".souk-manifest.json"

// entryDir is where s's entry belongs. The name holds a hash of everything that
// decides its content, so a changed pin never meets an old entry.
func (b *Builder) entryDir(s Server) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%+v %s/%s\n", s.Go, runtime.GOOS, runtime.GOARCH)
	if s.Maven != nil {
		fmt.Fprintf(h, "%+v\n", *s.Maven)
	}
	dir := filepath.Join(b.Root, "stack", s.module())
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		sum, err := HashFile(path)
		fmt.Fprintf(h, "%s %s\n", rel, sum)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the pins of %s: %w", s.Name, err)
	}
	return filepath.Join(b.Cache, fmt.Sprintf("%s-%s-%s", s.Name, s.Version, hex.EncodeToString(h.Sum(nil))[:10])), nil
}

// lock serialises work on one cache entry between processes. waiting is called
// once if somebody else holds it.
func lock(ctx context.Context, entry string, waiting func()) (unlock func(), err error) {
	l := flock.New(entry + ".lock")
	ok, err := l.TryLock()
	if err == nil && !ok {
		waiting()
		ok, err = l.TryLockContext(ctx, 200*time.Millisecond)
	}
	if err != nil || !ok {
		return nil, fmt.Errorf("lock %s.lock: %w", entry, err)
	}
	return func() { _ = l.Unlock() }, nil
}

// intact reports whether entry is complete and every file still has the content
// that was put there. absent says that there is no entry at all, which is no damage.
func intact(entry string) (ok, absent bool) {
	raw, err := os.ReadFile(filepath.Join(entry, manifestName))
	if err != nil {
		_, statErr := os.Stat(entry)
		return false, errors.Is(statErr, fs.ErrNotExist)
	}
	var want manifest
	if json.Unmarshal(raw, &want) != nil || len(want.Files) == 0 {
		return false, false
	}
	got, err := hashTree(entry)
	if err != nil || len(got) != len(want.Files) {
		return false, false
	}
	for path, sum := range want.Files {
		if got[path] != sum {
			return false, false
		}
	}
	return true, false
}

// seal writes the manifest into tmp and moves it to entry in one step.
func seal(s Server, tmp, entry string) error {
	files, err := hashTree(tmp)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(manifest{Server: s.Name + " " + s.Version, Files: files}, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, manifestName), raw, 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(entry); err != nil {
		return err
	}
	return os.Rename(tmp, entry)
}

func hashTree(root string) (map[string]string, error) {
	var paths []string
	sums := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root || d.Name() == manifestName {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			sums[rel] = "folder" // Elasticsearch will not start without some empty ones
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			sums[rel] = "-> " + target
			return err
		}
		paths = append(paths, rel)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	results := make([]string, len(paths))
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i, rel := range paths {
		g.Go(func() (err error) {
			results[i], err = HashFile(filepath.Join(root, rel))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, rel := range paths {
		sums[rel] = results[i]
	}
	return sums, nil
}

// HashFile is the SHA-256 of a file's content, in hexadecimal.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
