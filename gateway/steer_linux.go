package main

import (
	"golang.org/x/sys/unix"
)

// Linux spreads new connections over the sockets of a port by a hash of their addresses,
// and closing one resets what waits in its queue, and what is still shaking hands. So
// before one closes, the kernel must stop choosing it: a filter on the port chooses
// another by its place among the sockets. It needs no privilege.
// See SO_ATTACH_REUSEPORT_CBPF in socket(7).

// steer sends every new connection to the socket at that place, in order of listening. A
// place that does not exist leaves the kernel's own choice.
func steer(place uint32) func(fd int) error {
	return func(fd int) error {
		ret := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: place}}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &ret[0]})
	}
}

// unsteer gives the choice back to the kernel.
func unsteer(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
}
