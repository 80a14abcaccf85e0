package redirect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

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

// addrPatience is how long the kernel may take to have a new address in use.
const addrPatience = 5 * time.Second

// raiseLoopback brings up lo and makes every address there is one of this host:
// rtnetlink(7). It says whether that is so for IPv6 too.
func raiseLoopback() (v6 bool, err error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return false, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := bringUp(c); err != nil {
		return false, err
	}
	own := ownAddrs()
	if err := errors.Join(addAddr(c, own[0]), addDefault(c, own[0])); err != nil {
		return false, err
	}
	err = errors.Join(addAddr6(c, own[1]), addDefault(c, own[1]))
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES) {
		return false, nil // no IPv6 in this kernel, or it is disabled: then it has no way out
	}
	return err == nil, err
}

// bringUp sets lo's flag IFF_UP: struct ifinfomsg.
func bringUp(c *netlink.Conn) error {
	m := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(m[4:], lo)
	binary.NativeEndian.PutUint32(m[8:], unix.IFF_UP)  // flags
	binary.NativeEndian.PutUint32(m[12:], unix.IFF_UP) // which of them change
	if err := change(c, unix.RTM_NEWLINK, 0, m); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}

// addAddr6 is addAddr for IPv6, and waits until the address is in use. The
// kernel sees to that later, also without duplicate address detection
// (addrconf_dad_work, net/ipv6/addrconf.c): datagrams that are sent meanwhile
// get lost at times.
func addAddr6(c *netlink.Conn, a netip.Addr) (err error) {
	told, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: 1 << (unix.RTNLGRP_IPV6_IFADDR - 1)})
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	defer func() { err = errors.Join(err, told.Close()) }()
	if err := addAddr(c, a); err != nil {
		return err
	}
	if err := told.SetReadDeadline(time.Now().Add(addrPatience)); err != nil {
		return err
	}
	for {
		messages, err := told.Receive()
		if err != nil {
			return fmt.Errorf("wait for %s on lo: %w", a, err)
		}
		if slices.ContainsFunc(messages, func(m netlink.Message) bool {
			return m.Header.Type == unix.RTM_NEWADDR && bytes.Contains(m.Data, a.AsSlice())
		}) {
			// It tells first and adds the address's route then, under a lock that
			// this takes too.
			return bringUp(c)
		}
	}
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
