package stack

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// fetch lays s out in dir with its pom. Maven checks every artifact's checksum (-C).
func (b *Builder) fetch(ctx context.Context, s Server, dir string, task Task) error {
	task.Note("fetching")
	args := []string{"--batch-mode", "--strict-checksums", "--no-transfer-progress",
		"-f", filepath.Join(b.Root, "stack", s.module(), "pom.xml"), "-Dsouk.out=" + dir}
	args = append(append(args, s.Maven.Args...), "generate-resources")
	fetched := 0
	err := run(ctx, b.Root, os.Environ(), func(line string, _ bool) {
		if strings.Contains(line, "Copying ") || strings.Contains(line, "Unpacking ") {
			fetched++
			task.Note(fmt.Sprintf("fetching (%d files)", fetched))
		}
	}, "mvn", args...)
	if err != nil || s.Maven.Unpack == "" {
		return err
	}
	task.Note("unpacking")
	archives, err := filepath.Glob(filepath.Join(dir, s.Maven.Unpack))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("the pom of %s left %d archives, want one (%v)", s.Name, len(archives), err)
	}
	if err := unpackTXZ(archives[0], dir); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(archives[0]), err)
	}
	// What Maven's plugin keeps to know that it has unpacked this one.
	if err := os.RemoveAll(filepath.Join(dir, ".unpacked")); err != nil {
		return err
	}
	return os.Remove(archives[0])
}

// unpackTXZ unpacks an xz-compressed tar archive below dir. Entries that would
// land outside it are refused.
func unpackTXZ(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := xz.NewReader(bufio.NewReader(f))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Clean(h.Name)
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			err = unpackFile(root, name, h.FileInfo().Mode().Perm(), r)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, mode os.FileMode, r io.Reader) error {
	// Every user may read and run what is in the cache; only its owner writes.
	out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode|0o444)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
