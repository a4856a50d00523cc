package edge

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acked is the number of bytes that the far end of a TCP connection has
// acknowledged so far; ok is false where that cannot be known.
func acked(c net.Conn) (n uint64, ok bool) {
	sc, is := c.(syscall.Conn)
	if !is {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		if info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); e == nil {
			n, ok = info.Bytes_acked, true
		}
	})
	return n, ok && err == nil
}
