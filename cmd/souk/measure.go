package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/spf13/cobra"

	"souk/internal/instance"
)

func measureCommand() *cobra.Command {
	var cold bool
	cmd := &cobra.Command{
		Use:   "measure",
		Short: "Time a start of the stack and sum its memory, on an instance of its own",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd.Context(), cold)
		},
	}
	cmd.Flags().BoolVar(&cold, "cold", false, "also time a first start with empty caches: builds every server anew")
	return cmd
}

// measure brings up a fresh instance, stops it, and times how long it takes to come back.
func measure(ctx context.Context, cold bool) (err error) {
	home, err := instance.DefaultHome("measure")
	if err != nil {
		return err
	}
	if err := errors.Join(os.Setenv("SOUK_HOME", home), os.Setenv("SOUK_PORT_BASE", "26000")); err != nil {
		return err
	}
	if cold {
		undo, err := emptyCaches()
		if err != nil {
			return err
		}
		defer undo()
	}
	a, err := newApp(os.Stdout)
	if err != nil {
		return err
	}
	if a.Exists() {
		return fmt.Errorf("%s is in use: end the other measurement, or `SOUK_HOME=%s bin/souk down --clean`", home, home)
	}
	defer func() {
		err = errors.Join(err, a.stop(context.WithoutCancel(ctx)), a.Wipe(), a.RemoveLock())
	}()

	start := time.Now()
	if err := a.up(ctx, false); err != nil {
		return err
	}
	first := time.Since(start)
	if err := a.stop(ctx); err != nil {
		return err
	}
	start = time.Now()
	if err := a.up(ctx, false); err != nil {
		return err
	}
	warm := time.Since(start)
	rows, err := a.status(ctx)
	if err != nil {
		return err
	}
	var memory uint64
	for _, r := range rows {
		memory += r.Memory
	}
	kind := "first start, servers cached"
	if cold {
		kind = "first start, every cache empty"
	}
	a.say("\n%s", machine())
	a.say("  %-34s %s", kind, first.Round(time.Second))
	a.say("  %-34s %s", "stopped stack to a served product", warm.Round(100*time.Millisecond))
	a.say("  %-34s %s", "memory of everything, idle", mib(memory))
	services, err := a.serviceNames()
	if err != nil {
		return err
	}
	for _, r := range rows {
		if slices.Contains(services, r.Name) {
			a.say("  %-34s %s", "memory of "+r.Name+", idle", mib(r.Memory))
		}
	}
	return nil
}

// emptyCaches points every cache that a build uses to a new folder.
func emptyCaches() (undo func(), err error) {
	dir, err := os.MkdirTemp("", "souk-cold-")
	if err != nil {
		return nil, err
	}
	undo = func() {
		// Go makes its module cache read-only.
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
		_ = os.RemoveAll(dir)
	}
	return undo, errors.Join(
		os.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")),
		os.Setenv("GOCACHE", filepath.Join(dir, "go-build")),
		os.Setenv("GOMODCACHE", filepath.Join(dir, "go-mod")),
		os.Setenv("MAVEN_OPTS", os.Getenv("MAVEN_OPTS")+" -Dmaven.repo.local="+filepath.Join(dir, "m2")))
}

func machine() string {
	model := "unknown processor"
	if info, err := cpu.Info(); err == nil && len(info) > 0 {
		model = info[0].ModelName
	}
	var total uint64
	if m, err := mem.VirtualMemory(); err == nil {
		total = m.Total >> 30
	}
	return fmt.Sprintf("measured on %d cores (%s), %d GiB, %s/%s, %s", runtime.NumCPU(), model, total, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
