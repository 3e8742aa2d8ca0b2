package instance

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/shirou/gopsutil/v4/disk"
)

// Mounts lists the mount points below the home, deepest first. Nomad makes some
// (secrets on tmpfs) when it runs as root.
func (in *Instance) Mounts() ([]string, error) {
	all, err := disk.Partitions(true)
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var below []string
	for i := len(all) - 1; i >= 0; i-- {
		if strings.HasPrefix(all[i].Mountpoint, in.Home+"/") {
			below = append(below, all[i].Mountpoint)
		}
	}
	return below, nil
}

// Unmount removes every mount below the home.
func (in *Instance) Unmount() error {
	mounts, err := in.Mounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if err := syscall.Unmount(m, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	return nil
}
