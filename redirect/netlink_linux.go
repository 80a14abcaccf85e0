package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What is asked of netfilter over netlink begins with a header and a struct
// nfgenmsg, and goes on with attributes: include/uapi/linux/netfilter/nfnetlink.h.

// appendAttribute adds an attribute of a kind that holds value.
func appendAttribute(b []byte, kind uint16, value ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

// netfilterRequest is a message to the netfilter subsystem of kind, about a
// family, with the resource res, which means different things.
func netfilterRequest(kind, flags uint16, family uint8, res uint16, attributes []byte) []byte {
	const nfgenmsg = 4
	b := make([]byte, 0, unix.NLMSG_HDRLEN+nfgenmsg+len(attributes))
	b = binary.NativeEndian.AppendUint32(b, uint32(cap(b)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, 0) // sequence: one question at a time
	b = binary.NativeEndian.AppendUint32(b, 0) // from: the kernel knows
	b = append(b, family, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, res)
	return append(b, attributes...)
}

// openNetfilter opens a socket to netfilter in the calling thread's network namespace.
func openNetfilter() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return -1, fmt.Errorf("open netlink: %w", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &diagPatience); err != nil {
		return -1, errors.Join(fmt.Errorf("open netlink: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// ask sends the kernel one request on fd and calls each for what its answer
// carries. An acknowledgement carries nothing.
func ask(fd int, request []byte, each func([]byte)) error {
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	b := make([]byte, 8<<10)
	for {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = eachMessage(b[:n], each)
		if err == unix.Errno(0) {
			return nil
		}
		return err
	}
}
