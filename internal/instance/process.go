package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// marker is the variable that every process of an instance carries, so that
// what a killed agent left behind can be told from everybody else's processes.
const marker = "SOUK_INSTANCE"

// Processes lists every process of this instance: agents, Nomad's executors and
// all tasks.
func (in *Instance) Processes() ([]*process.Process, error) {
	all, err := process.Processes()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var own []*process.Process
	for _, p := range all {
		if in.owns(p) && !isZombie(p) {
			own = append(own, p)
		}
	}
	return own, nil
}

func (in *Instance) owns(p *process.Process) bool {
	env, err := p.Environ()
	if err != nil {
		return false
	}
	for _, e := range env {
		if e == marker+"="+in.Home {
			return true
		}
	}
	return false
}

func isZombie(p *process.Process) bool {
	status, err := p.Status()
	return err == nil && len(status) > 0 && status[0] == process.Zombie
}

// EndProcesses ends whatever of this instance still runs, each by its own id.
func (in *Instance) EndProcesses(ctx context.Context) (count int, err error) {
	for range 5 { // what is ended may have started something in between
		own, err := in.Processes()
		if err != nil || len(own) == 0 {
			return count, err
		}
		count += len(own)
		if err := end(ctx, own, 15*time.Second); err != nil {
			return count, err
		}
	}
	return count, errors.New("processes keep coming back")
}

func end(ctx context.Context, ps []*process.Process, grace time.Duration) error {
	for _, p := range ps {
		_ = p.TerminateWithContext(ctx)
	}
	deadline := time.Now().Add(grace)
	for killed := false; ; {
		left := ps[:0:0]
		for _, p := range ps {
			if alive, _ := p.IsRunning(); alive && !isZombie(p) {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			if killed {
				return fmt.Errorf("process %d does not end", left[0].Pid)
			}
			for _, p := range left {
				_ = p.Kill()
			}
			killed, deadline = true, time.Now().Add(5*time.Second)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
