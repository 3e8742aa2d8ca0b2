package stack

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// compile builds s's programs from its tool module into dir. The module's go.sum
// pins every dependency, so a build can't pick up anything else.
func (b *Builder) compile(ctx context.Context, s Server, dir string, task Task) error {
	for _, bin := range s.Go {
		flags := []string{"-mod=readonly", "-trimpath", "-ldflags=-s -w"}
		if bin.Tags != "" {
			flags = append(flags, "-tags="+bin.Tags)
		}
		cgo := "CGO_ENABLED=0"
		if bin.CGO {
			cgo = "CGO_ENABLED=1"
		}
		env := append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", cgo)
		module := filepath.Join(b.Root, "stack", s.module())

		// What is stale is what the build has left to do: an interrupted build goes on from here.
		task.Note("downloading modules")
		downloads, stale := 0, 0
		list := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, flags...)
		err := run(ctx, module, env, func(line string, stderr bool) {
			switch {
			case stderr && strings.HasPrefix(line, "go: downloading"):
				downloads++
				task.Note(fmt.Sprintf("downloading modules (%d)", downloads))
			case !stderr && line != "":
				stale++
			}
		}, "go", append(list, bin.Package)...)
		if err != nil {
			return err
		}

		task.Note("compiling")
		done := 0
		args := append([]string{"build", "-v", "-o", filepath.Join(dir, bin.Name)}, flags...)
		err = run(ctx, module, env, func(line string, stderr bool) {
			if stderr && line != "" && !strings.ContainsAny(line, " :") {
				done++
				task.Step(done, max(stale, done))
			}
		}, "go", append(args, bin.Package)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// commandError is a failed command with what it said last.
type commandError struct {
	command string
	output  string
	err     error
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.command, e.err, lastLine(e.output))
}

func (e *commandError) Unwrap() error { return e.err }

// run runs a command in dir in a process group of its own, so that ctx ends its
// children too, and passes each line that it prints to line.
func run(ctx context.Context, dir string, env []string, line func(text string, stderr bool), name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second

	var tail bytes.Buffer
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	cmd.Stdout, cmd.Stderr = outW, errW
	read := make(chan struct{}, 2)
	lines := make(chan func(), 64)
	pump := func(r io.Reader, stderr bool) {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			text := scanner.Text()
			lines <- func() {
				if tail.Len() > 64<<10 {
					tail.Reset()
				}
				tail.WriteString(text + "\n")
				line(text, stderr)
			}
		}
		_, _ = io.Copy(io.Discard, r)
		read <- struct{}{}
	}
	go pump(outR, false)
	go pump(errR, true)
	result := make(chan error, 1)
	go func() {
		err := cmd.Run()
		outW.Close()
		errW.Close()
		<-read
		<-read
		close(lines)
		result <- err
	}()
	for f := range lines {
		f()
	}
	if err := <-result; err != nil {
		return &commandError{command: name + " " + args[0], output: tail.String(), err: err}
	}
	return nil
}

func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
