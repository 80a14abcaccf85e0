package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The addresses of a namespace's lo beside loopback: who connects anywhere else
// does so from them. They are private ones, so that getaddrinfo with
// AI_ADDRCONFIG, which does not count loopback, offers both families.
func ownAddrs() [2]netip.Addr {
	return [2]netip.Addr{netip.MustParseAddr("10.199.0.2"), netip.MustParseAddr("fd73:6572:6765::2")}
}

// lo is the index of the loopback device in every network namespace:
// LOOPBACK_IFINDEX of include/net/flow.h.
const lo = 1

// raiseLoopback brings up lo and makes every address there is one of this host:
// rtnetlink(7). It says whether that is so for IPv6 too.
func raiseLoopback() (v6 bool, err error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return false, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	up := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(up[4:], lo)
	binary.NativeEndian.PutUint32(up[8:], unix.IFF_UP)  // flags
	binary.NativeEndian.PutUint32(up[12:], unix.IFF_UP) // which of them change
	if err := change(c, unix.RTM_NEWLINK, 0, up); err != nil {
		return false, fmt.Errorf("bring up lo: %w", err)
	}
	for _, a := range ownAddrs() {
		err := errors.Join(addAddr(c, a), addDefault(c, a))
		switch {
		case err == nil:
			v6 = a.Is6()
		case a.Is6() && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES)):
			// No IPv6 in this kernel, or it is disabled: then it has no way out.
		default:
			return false, err
		}
	}
	return v6, nil
}

// change sends one rtnetlink message that changes something, and returns the
// kernel's verdict.
func change(c *netlink.Conn, kind uint16, flags netlink.HeaderFlags, data []byte) error {
	_, err := c.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(kind),
			Flags: netlink.Request | netlink.Acknowledge | flags,
		},
		Data: data,
	})
	return err
}

// family is the address family of a.
func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// addAddr gives lo the address a alone: struct ifaddrmsg.
func addAddr(c *netlink.Conn, a netip.Addr) error {
	m := []byte{family(a), byte(a.BitLen()), unix.IFA_F_NODAD, unix.RT_SCOPE_HOST, lo, 0, 0, 0}
	if a.Is6() {
		m[3] = unix.RT_SCOPE_UNIVERSE
	}
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.IFA_LOCAL, Data: a.AsSlice()},
		{Type: unix.IFA_ADDRESS, Data: a.AsSlice()},
	})
	if err != nil {
		return err
	}
	if err := change(c, unix.RTM_NEWADDR, netlink.Create|netlink.Replace, append(m, attrs...)); err != nil {
		return fmt.Errorf("add %s to lo: %w", a, err)
	}
	return nil
}

// addDefault makes all addresses of a's family local, reached from a: struct
// rtmsg.
func addDefault(c *netlink.Conn, a netip.Addr) error {
	m := make([]byte, unix.SizeofRtMsg)
	m[0], m[4], m[5], m[6], m[7] = family(a), unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.RTA_OIF, Data: binary.NativeEndian.AppendUint32(nil, lo)},
		{Type: unix.RTA_PREFSRC, Data: a.AsSlice()},
	})
	if err != nil {
		return err
	}
	if err := change(c, unix.RTM_NEWROUTE, netlink.Create|netlink.Replace, append(m, attrs...)); err != nil {
		return fmt.Errorf("route everything to lo from %s: %w", a, err)
	}
	return nil
}
