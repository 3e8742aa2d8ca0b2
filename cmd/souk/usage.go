package main

import (
	"github.com/prometheus/procfs"
	"github.com/shirou/gopsutil/v4/process"

	"souk/internal/hashistack"
)

// owners says for which job or agent each process of this instance works.
func (a *app) owners() (map[*process.Process]string, error) {
	own, err := a.Processes()
	if err != nil {
		return nil, err
	}
	agents := map[int32]string{}
	for _, agent := range hashistack.Agents {
		agents[a.PID(agent)] = agent
	}
	owners := map[*process.Process]string{}
	byID := map[int32]string{}
	for _, p := range own {
		owners[p] = owner(p, agents)
		byID[p.Pid] = owners[p]
	}
	// A program that writes its title over its environment, as PostgreSQL's backends do, is known by its parents.
	all, err := process.Processes()
	if err != nil {
		return nil, err
	}
	parents := map[int32]int32{}
	for _, p := range all {
		if parent, err := p.Ppid(); err == nil {
			parents[p.Pid] = parent
		}
	}
	for _, p := range all {
		if byID[p.Pid] != "" {
			continue
		}
		for at := parents[p.Pid]; at > 1; at = parents[at] {
			if job := byID[at]; job != "" {
				owners[p] = job
				break
			}
		}
	}
	return owners, nil
}

// usage is what the processes of a job or agent take.
type usage struct {
	cpu    float64 // seconds since they began
	memory uint64  // resident bytes, a shared page in parts
}

// usage is by job or agent. The time of a process that has ended is its parent's.
func (a *app) usage() (map[string]usage, error) {
	owners, err := a.owners()
	if err != nil {
		return nil, err
	}
	by := map[string]usage{}
	for p, job := range owners {
		u := by[job]
		u.memory += resident(p)
		u.cpu += cpuTime(int(p.Pid))
		by[job] = u
	}
	return by, nil
}

// cpuTime is in seconds, with that of children that have ended; 0 of a process that is gone.
func cpuTime(pid int) float64 {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0
	}
	stat, err := p.Stat()
	if err != nil {
		return 0
	}
	const ticksPerSecond = 100 // USER_HZ, see proc(5)
	return stat.CPUTime() + float64(stat.CUTime+stat.CSTime)/ticksPerSecond
}
