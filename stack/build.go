package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Builder finds every server, and builds or fetches what is missing.
type Builder struct {
	Root     string // the checkout
	Cache    string // see CacheDir
	Progress Progress
}

// coldSpace is the free disk that a first build of everything needs, in bytes:
// Go's module and build caches take 14 GB of it.
const coldSpace = 16 << 30

// Ensure returns where each of servers is, by name, after building or fetching
// those that are neither on PATH nor intact in the cache. An interrupted call is
// resumed by the next; two calls at once share the work.
func (b *Builder) Ensure(ctx context.Context, servers []Server) (map[string]Found, error) {
	found := make([]Found, len(servers))
	missing := make([]bool, len(servers))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, s := range servers {
		g.Go(func() error {
			onpath, notice, err := onPATH(gctx, s)
			if err != nil {
				return err
			}
			if notice != "" {
				b.Progress.Notice(notice)
			}
			if onpath != nil {
				found[i] = *onpath
				return nil
			}
			entry, err := b.entryDir(s)
			if err != nil {
				return err
			}
			ok, absent := intact(entry)
			if !ok && !absent {
				b.Progress.Notice(fmt.Sprintf("the cached %s is damaged: building it again", s.Name))
			}
			missing[i] = !ok
			found[i] = located(s, entry)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := b.make(ctx, found, missing); err != nil {
		return nil, err
	}
	byName := make(map[string]Found, len(found))
	for _, f := range found {
		byName[f.Server.Name] = f
	}
	return byName, nil
}

// located is s in its cache entry.
func located(s Server, entry string) Found {
	f := Found{Server: s, Dir: entry, Version: s.Version}
	if len(s.Go) > 0 {
		f.Program = filepath.Join(entry, s.Go[0].Name)
	}
	return f
}

// make builds the Go programs one after the other, each with all cores, and
// fetches from Maven Central beside them.
func (b *Builder) make(ctx context.Context, found []Found, missing []bool) error {
	var built, fetched []Found
	for i, f := range found {
		switch {
		case !missing[i]:
		case f.Server.Maven != nil:
			fetched = append(fetched, f)
		default:
			built = append(built, f)
		}
	}
	if len(built)+len(fetched) == 0 {
		return nil
	}
	if err := requireTools(ctx, built, fetched); err != nil {
		return err
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return fmt.Errorf("the cache %s cannot be made: %w", b.Cache, err)
	}
	if len(built) > 3 {
		if err := RequireSpace(b.Cache, coldSpace, "to build the servers once"); err != nil {
			return err
		}
	}
	b.Progress.Begin(len(built) + len(fetched))
	defer b.Progress.End()
	g, gctx := errgroup.WithContext(ctx)
	for _, lane := range [][]Found{built, fetched} {
		g.Go(func() error {
			for _, f := range lane {
				if err := b.one(gctx, f); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// requireTools wants Maven and a C compiler, which only building needs.
func requireTools(ctx context.Context, built, fetched []Found) error {
	if c := mavenCheck(ctx); len(fetched) > 0 && c.Problem != "" {
		return errors.New(c.Problem)
	}
	for _, f := range built {
		for _, bin := range f.Server.Go {
			if c := compilerCheck(ctx); bin.CGO && c.Problem != "" {
				return errors.New(c.Problem)
			}
		}
	}
	return nil
}

// one makes one cache entry whole, unless another process does so first.
func (b *Builder) one(ctx context.Context, f Found) (err error) {
	s := f.Server
	task := b.Progress.Task(s.Name + " " + s.Version)
	started := time.Now()
	defer func() { task.Done(time.Since(started), err) }()

	unlock, err := lock(ctx, f.Dir, func() { task.Note("another souk is making it, waiting") })
	if err != nil {
		return err
	}
	defer unlock()
	if ok, _ := intact(f.Dir); ok {
		return nil
	}
	tmp := f.Dir + ".tmp"
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	defer os.RemoveAll(tmp)
	if s.Maven != nil {
		err = b.fetch(ctx, s, tmp, task)
	} else {
		err = b.compile(ctx, s, tmp, task)
	}
	if err != nil {
		return explain(ctx, s, err)
	}
	if err := seal(s, tmp, f.Dir); err != nil {
		return explain(ctx, s, err)
	}
	return nil
}

// Survey says of each server where it would come from; it builds nothing.
func (b *Builder) Survey(ctx context.Context) []Check {
	var checks []Check
	missing := 0
	for _, s := range Servers() {
		c := Check{Name: s.Name + " " + s.Version}
		onpath, notice, err := onPATH(ctx, s)
		switch {
		case err != nil:
			c.Problem = err.Error()
		case onpath != nil:
			c.Found = fmt.Sprintf("%s %s on PATH", onpath.Program, onpath.Version)
		default:
			entry, err := b.entryDir(s)
			if err != nil {
				c.Problem = err.Error()
				break
			}
			ok, absent := intact(entry)
			switch {
			case ok:
				c.Found = "cached"
			case absent:
				c.Found, missing = "to be built or fetched", missing+1
			default:
				c.Found, missing = "damaged in the cache, to be built again", missing+1
			}
			if notice != "" {
				c.Found += " (" + notice + ")"
			}
		}
		checks = append(checks, c)
	}
	if missing > 3 {
		c := Check{Name: "disk for building", Found: b.Cache}
		if err := RequireSpace(b.Cache, coldSpace, "to build the servers once"); err != nil {
			c.Problem = err.Error()
		}
		checks = append(checks, c)
	}
	return checks
}
