package web

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// gone reports whether the other end has closed the connection, or its own side of it.
// The kernel knows, whatever was sent before and has not been read: TLS ends with bytes.
func gone(nc net.Conn) bool {
	sc, ok := rawOf(nc).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	hung := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a descriptor fits
		n, err := unix.Poll(fds, 0)
		hung = err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || hung
}
