package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// originalDst is where the client of c connected to before REDIRECT had its way:
// SO_ORIGINAL_DST, and IP6T_SO_ORIGINAL_DST, which has the same number. It is
// false where conntrack does not know the connection.
func originalDst(c *net.TCPConn) (dst netip.AddrPort, ok bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return dst, false, fmt.Errorf("original destination: %w", err)
	}
	v6 := addrPort(c.LocalAddr()).Addr().Is6()
	level := unix.SOL_IP
	if v6 {
		level = unix.SOL_IPV6
	}
	e := raw.Control(func(fd uintptr) {
		// A struct sockaddr_in6 and a little more: sockaddr_in fits in too.
		var got *unix.IPv6MTUInfo
		if got, err = unix.GetsockoptIPv6MTUInfo(int(fd), level, unix.SO_ORIGINAL_DST); err != nil {
			return
		}
		addr := netip.AddrFrom16(got.Addr.Addr)
		if !v6 { // it begins where the IPv6 one has its flow label
			addr = netip.AddrFrom4([4]byte(binary.NativeEndian.AppendUint32(nil, got.Addr.Flowinfo)))
		}
		port := binary.NativeEndian.AppendUint16(nil, got.Addr.Port) // as it is in memory
		dst = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port))
	})
	switch {
	case e != nil:
		return dst, false, fmt.Errorf("original destination: %w", e)
	case errors.Is(err, unix.ENOENT):
		return dst, false, nil
	case err != nil:
		return dst, false, fmt.Errorf("original destination: %w", err)
	}
	return dst, true, nil
}

// What of ctnetlink is asked: include/uapi/linux/netfilter/nfnetlink_conntrack.h.
const (
	ctGet = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET

	ctTupleOrig  = 1 // CTA_TUPLE_ORIG, of it:
	ctTupleReply = 2
	ctTupleIP    = 1 // of a tuple; of it:
	ctIPv4Src    = 1
	ctIPv4Dst    = 2
	ctIPv6Src    = 3
	ctIPv6Dst    = 4
	ctTupleProto = 2 // of a tuple; of it:
	ctProtoNum   = 1
	ctProtoSrc   = 2
	ctProtoDst   = 3
)

// A conntrack asks which connections the kernel tracks: for datagrams there is
// no SO_ORIGINAL_DST. It needs CAP_NET_ADMIN. It is safe for concurrent use.
type conntrack struct {
	fd int

	mu sync.Mutex // held over a question and its answer
}

// openConntrack opens one in the calling thread's network namespace.
func openConntrack() (*conntrack, error) {
	fd, err := openNetfilter()
	if err != nil {
		return nil, fmt.Errorf("conntrack: %w", err)
	}
	c := &conntrack{fd: fd}
	nobody := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if _, _, err := c.original(nobody, nobody); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// close frees c, and has later questions fail. It is called once.
func (c *conntrack) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

// original is where a datagram that came from client to our socket at local was
// sent from and to: two to different destinations from one port come from two. It is
// false if it was sent to local.
func (c *conntrack) original(client, local netip.AddrPort) (sent conversation, ok bool, err error) {
	family := uint8(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	// What answers it will look like is what we know.
	tuple := appendTuple(nil, ctTupleReply|unix.NLA_F_NESTED, local, client)
	c.mu.Lock()
	defer c.mu.Unlock()
	err = ask(c.fd, netfilterRequest(ctGet, 0, family, 0, tuple), func(b []byte) {
		sent, ok = parseOriginal(b)
	})
	if errors.Is(err, unix.ENOENT) {
		return sent, false, nil
	}
	if err != nil {
		return sent, false, fmt.Errorf("conntrack: %w", err)
	}
	return sent, ok && sent.dst != local, nil
}

// appendTuple adds the attribute of a kind that is the UDP tuple src, dst.
func appendTuple(b []byte, kind uint16, src, dst netip.AddrPort) []byte {
	from, to := uint16(ctIPv4Src), uint16(ctIPv4Dst)
	if src.Addr().Is6() {
		from, to = ctIPv6Src, ctIPv6Dst
	}
	ip := appendAttribute(nil, from, src.Addr().AsSlice()...)
	ip = appendAttribute(ip, to, dst.Addr().AsSlice()...)
	proto := appendAttribute(nil, ctProtoNum, unix.IPPROTO_UDP)
	proto = appendAttribute(proto, ctProtoSrc, binary.BigEndian.AppendUint16(nil, src.Port())...)
	proto = appendAttribute(proto, ctProtoDst, binary.BigEndian.AppendUint16(nil, dst.Port())...)
	tuple := appendAttribute(nil, ctTupleIP|unix.NLA_F_NESTED, ip...)
	tuple = appendAttribute(tuple, ctTupleProto|unix.NLA_F_NESTED, proto...)
	return appendAttribute(b, kind, tuple...)
}

// parseOriginal reads the original direction from a message about a tracked
// connection.
func parseOriginal(b []byte) (conversation, bool) {
	const nfgenmsg = 4
	var from, to netip.Addr
	var src, dst uint16
	if len(b) < nfgenmsg {
		return conversation{}, false
	}
	eachAttribute(b[nfgenmsg:], func(kind uint16, tuple []byte) {
		if kind != ctTupleOrig {
			return
		}
		eachAttribute(tuple, func(part uint16, b []byte) {
			eachAttribute(b, func(kind uint16, v []byte) {
				switch {
				case part == ctTupleIP && (kind == ctIPv4Src || kind == ctIPv6Src):
					from, _ = netip.AddrFromSlice(v)
				case part == ctTupleIP && (kind == ctIPv4Dst || kind == ctIPv6Dst):
					to, _ = netip.AddrFromSlice(v)
				case part == ctTupleProto && kind == ctProtoSrc && len(v) == 2:
					src = binary.BigEndian.Uint16(v)
				case part == ctTupleProto && kind == ctProtoDst && len(v) == 2:
					dst = binary.BigEndian.Uint16(v)
				}
			})
		})
	})
	return conversation{netip.AddrPortFrom(from, src), netip.AddrPortFrom(to, dst)}, from.IsValid() && to.IsValid()
}
