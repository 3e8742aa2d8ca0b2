package web

import (
	"crypto/tls"
	"net"
	"syscall"
)

// pending reports whether the kernel holds bytes that were not read yet. It does
// not wait, and is not bound by deadlines.
func pending(nc net.Conn) bool {
	sc, ok := rawOf(nc).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT) // n is -1 on errors
	})
	return err == nil && n > 0
}

// rawOf is the connection below TLS.
func rawOf(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return nc
}
