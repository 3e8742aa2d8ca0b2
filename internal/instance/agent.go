package instance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// Agent is a server that souk itself starts and stops: Consul, Vault or Nomad.
// Everything else is Nomad's to run.
type Agent struct {
	Name    string
	Program string
	Args    []string
	Config  string   // path of its configuration; a change restarts it
	Logs    []string // files that it appends to itself; large ones are set aside at its start
}

// pidFile says which process an agent is. A process id alone may have gone to
// somebody else since; with the start time it can't have.
type pidFile struct {
	PID     int32  `json:"pid"`
	Started int64  `json:"started"` // Unix milliseconds
	Digest  string `json:"digest"`  // of program, arguments and configuration
}

// Ensure starts the agent unless it runs as it should. It reports whether it
// started it. A running agent whose program or configuration changed is stopped first.
func (in *Instance) Ensure(ctx context.Context, a Agent) (started bool, err error) {
	digest, err := a.digest()
	if err != nil {
		return false, err
	}
	p, pf := in.running(a.Name)
	if p != nil && pf.Digest == digest {
		return false, nil
	}
	if p != nil {
		if err := in.StopAgent(ctx, a.Name); err != nil {
			return false, err
		}
	}
	if err := in.endStrays(ctx, a); err != nil {
		return false, err
	}
	return true, in.start(a, digest)
}

// endStrays ends processes of the agent that no pid file knows: souk was killed
// between starting one and writing it down.
func (in *Instance) endStrays(ctx context.Context, a Agent) error {
	own, err := in.Processes()
	if err != nil {
		return err
	}
	var strays []*process.Process
	for _, p := range own {
		if args, err := p.CmdlineSlice(); err == nil && slices.Contains(args, a.Config) {
			strays = append(strays, p)
		}
	}
	return end(ctx, strays, 20*time.Second)
}

func (a Agent) digest() (string, error) {
	config, err := os.ReadFile(a.Config)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(a.Program)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(real + "\x00" + strings.Join(a.Args, "\x00") + "\x00" + string(config)))
	return hex.EncodeToString(sum[:]), nil
}

func (in *Instance) start(a Agent, digest string) error {
	for _, path := range append([]string{in.LogPath(a.Name)}, a.Logs...) {
		if info, err := os.Stat(path); err == nil && info.Size() > 32<<20 {
			_ = os.Rename(path, path+".1")
		}
	}
	log, err := os.OpenFile(in.LogPath(a.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return in.broken(err)
	}
	defer log.Close()
	cmd := exec.Command(a.Program, a.Args...)
	cmd.Dir, cmd.Env = in.Home, in.AgentEnv()
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own: Ctrl-C and a closed terminal don't reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if in.Account.Drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(in.Account.UID), Gid: uint32(in.Account.GID)}
	}
	raiseFileLimit()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", a.Name, err)
	}
	go func() { _ = cmd.Wait() }() // reaps it if it ends while souk still runs
	p, err := process.NewProcess(int32(cmd.Process.Pid))
	if err != nil {
		return in.died(a.Name)
	}
	created, err := p.CreateTime()
	if err != nil {
		return in.died(a.Name)
	}
	raw, err := json.Marshal(pidFile{PID: p.Pid, Started: created, Digest: digest})
	if err == nil {
		err = in.WriteFile(filepath.Join("pids", a.Name+".json"), raw, 0o600)
	}
	if err != nil {
		// Without its pid file nobody would ever stop it.
		_ = cmd.Process.Kill()
	}
	return err
}

// raiseFileLimit lets the agents, and through Nomad all jobs, open as many files
// as the system allows: Elasticsearch and Kafka want 65,536, shells give 1,024.
func raiseFileLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	limit.Cur = limit.Max
	if want := limit; os.Geteuid() == 0 && limit.Max < 65536 {
		want.Cur, want.Max = 65536, 65536
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) == nil {
			return
		}
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// AgentEnv is all the environment that agents, and through Nomad all jobs, get:
// the caller's own may hold secrets.
func (in *Instance) AgentEnv() []string {
	return []string{marker + "=" + in.Home, "PATH=" + os.Getenv("PATH"), "HOME=" + in.Home, "LANG=C.UTF-8",
		// Plugins put sockets there: beside the others, so that they go with the instance.
		"TMPDIR=" + in.SocketDir()}
}

// LogPath is where an agent's output goes.
func (in *Instance) LogPath(name string) string { return in.Path("logs", name+".log") }

// died is the error of an agent that ended by itself, with its last words.
func (in *Instance) died(name string) error {
	return fmt.Errorf("%s ended by itself: %s (all of it: %s)", name, lastWords(in.LogPath(name)), in.LogPath(name))
}

// lastWords picks the last line of a log that says what was wrong.
func lastWords(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "it left no log"
	}
	raw = raw[max(0, len(raw)-8<<10):]
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if l := strings.ToLower(lines[i]); strings.Contains(l, "error") || strings.Contains(l, "fail") {
			return strings.TrimSpace(lines[i])
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// Await calls ready every 100 ms until it succeeds, the agent dies, or a minute is over.
func (in *Instance) Await(ctx context.Context, name string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if p, _ := in.running(name); p == nil {
			return in.died(name)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("interrupted while waiting for %s", name)
			}
			return fmt.Errorf("%s does not get ready (%w); its log: %s", name, err, in.LogPath(name))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// running returns the agent's process, or nil.
func (in *Instance) running(name string) (*process.Process, pidFile) {
	var pf pidFile
	raw, err := os.ReadFile(in.Path("pids", name+".json"))
	if err != nil || json.Unmarshal(raw, &pf) != nil {
		return nil, pf
	}
	p, err := process.NewProcess(pf.PID)
	if err != nil {
		return nil, pf
	}
	created, err := p.CreateTime()
	if err != nil || created != pf.Started || isZombie(p) {
		return nil, pf
	}
	return p, pf
}

// PID is the process id of an agent, 0 if it does not run.
func (in *Instance) PID(name string) int32 {
	if p, _ := in.running(name); p != nil {
		return p.Pid
	}
	return 0
}

// StopAgent ends an agent: SIGTERM, and SIGKILL after 20 s.
func (in *Instance) StopAgent(ctx context.Context, name string) error {
	p, _ := in.running(name)
	if p != nil {
		if err := end(ctx, []*process.Process{p}, 20*time.Second); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
	}
	if err := os.Remove(in.Path("pids", name+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
