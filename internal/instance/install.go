package instance

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Install makes dir (a server's folder in the cache or on PATH) available at
// name below the home: as a link where the servers' user can reach it, else as
// a copy, hard-linked where the file system allows.
func (in *Instance) Install(name, dir string) error {
	target, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if !in.Account.Reaches(target) {
		if target, err = in.copyIn(target); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	link := in.Path(name)
	if have, err := os.Readlink(link); err == nil && have == target {
		return nil
	}
	tmp := link + ".new"
	_ = os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	// What stands there may be a folder of an older layout, which rename would not replace.
	if info, err := os.Lstat(link); err == nil && info.IsDir() {
		if err := os.RemoveAll(link); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	return os.Rename(tmp, link)
}

// copyIn copies a folder below servers/, unless the copy there is still the same.
func (in *Instance) copyIn(dir string) (string, error) {
	to := in.Path("servers", "."+filepath.Base(dir))
	if sameTree(dir, to) {
		return to, nil
	}
	tmp := to + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		dest := filepath.Join(tmp, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(dest, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, dest)
		}
		if os.Link(path, dest) == nil {
			return nil
		}
		return copyFile(path, dest)
	})
	if err == nil {
		err = os.RemoveAll(to) // a program that runs from it keeps its open files
	}
	if err == nil {
		err = os.Rename(tmp, to)
	}
	if err != nil {
		_ = os.RemoveAll(tmp)
	}
	return to, err
}

// RemoveOldCopies removes copies of servers that no link names any more. A program
// that still runs from one keeps its open files.
func (in *Instance) RemoveOldCopies() error {
	entries, err := os.ReadDir(in.Path("servers"))
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, e := range entries {
		if target, err := os.Readlink(in.Path("servers", e.Name())); err == nil {
			used[target] = true
		}
	}
	for _, e := range entries {
		if path := in.Path("servers", e.Name()); e.IsDir() && !used[path] {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameTree reports whether copied holds every file of dir with its size and time.
func sameTree(dir, copied string) bool {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, err := d.Info()
		if err != nil {
			return err
		}
		if !sameFile(want, filepath.Join(copied, rel)) {
			return errors.New("differs")
		}
		return nil
	})
	return err == nil
}

func sameFile(want fs.FileInfo, path string) bool {
	have, err := os.Stat(path)
	return err == nil && have.Size() == want.Size() && have.ModTime().Equal(want.ModTime())
}

// InstallFile copies one program to name below the home unless it is there already.
func (in *Instance) InstallFile(name, file string) error {
	dest := in.Path(name)
	want, err := os.Stat(file)
	if err != nil {
		return err
	}
	if sameFile(want, dest) {
		return nil
	}
	tmp := dest + ".new"
	_ = os.Remove(tmp)
	if err := copyFile(file, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dest)
}

// copyFile copies content, mode and time.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}
