package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// other sends garbage by a protocol that is neither TCP nor UDP, or is but in
// name. That an answer does not come is no refusal.
func other(to netip.Addr, kind, protocol int) error {
	fd, err := socket(to, kind, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	port := 7
	if kind == unix.SOCK_RAW {
		port = 0
	}
	if kind == unix.SOCK_STREAM || kind == unix.SOCK_DCCP {
		if err := unix.Connect(fd, sockaddr(to, port)); err != nil {
			return err
		}
		return say(fd)
	}
	return unix.Sendto(fd, garbage, 0, sockaddr(to, port))
}

// mapped sends to an IPv4 address by an IPv6 socket.
func mapped(to netip.Addr, kind int) error {
	if to.Is4() {
		to = netip.AddrFrom16(to.As16())
	}
	fd, err := unix.Socket(unix.AF_INET6, kind, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	limit(fd)
	if kind == unix.SOCK_DGRAM {
		return unix.Sendto(fd, garbage, 0, sockaddr(to, 7))
	}
	if err := unix.Connect(fd, sockaddr(to, 7)); err != nil {
		return err
	}
	return say(fd)
}

// boundDatagram sends by UDP from a socket that is bound to the uplink.
func boundDatagram(to netip.Addr) error {
	fd, err := socket(to, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.BindToDevice(fd, "uplink"); err != nil {
		return err
	}
	return unix.Sendto(fd, garbage, 0, sockaddr(to, 7))
}

// multicastVia sends to a group on the uplink, by the option that says where.
func multicastVia(to netip.Addr) error {
	fd, err := socket(to, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var index uint32
	if _, err := fmt.Sscan(file("/sys/class/net/uplink/ifindex"), &index); err != nil {
		index = 2
	}
	if to.Is4() {
		if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)}); err != nil {
			return err
		}
		return unix.Sendto(fd, garbage, 0, sockaddr(netip.MustParseAddr("239.1.2.3"), 7))
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, int(index)); err != nil {
		return err
	}
	return unix.Sendto(fd, garbage, 0, sockaddr(netip.MustParseAddr("ff05::7"), 7))
}

// file is what the file at path holds.
func file(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// broadcast sends to everybody on the link; IPv6 has no such thing, but the
// group of all nodes.
func broadcast(to netip.Addr) error {
	if !to.Is4() {
		return datagram(netip.MustParseAddr("ff02::1"), 7, false)
	}
	fd, err := socket(to, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	for _, all := range []string{"192.0.2.255", "255.255.255.255"} {
		if e := unix.Sendto(fd, garbage, 0, sockaddr(netip.MustParseAddr(all), 7)); e != nil {
			err = e
		}
	}
	return err
}

// ownHeader sends a UDP datagram whose IP header we write: IP_HDRINCL, ip(7).
func ownHeader(to netip.Addr) error {
	fd, err := socket(to, unix.SOCK_RAW, unix.IPPROTO_UDP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, garbage, 0, sockaddr(to, 0))
}

// inUserNamespace tries by a process that has all capabilities, but in a user
// namespace of its own.
func inUserNamespace(to netip.Addr) error {
	cmd := exec.Command(os.Args[0], to.String())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s%w", strings.TrimSpace(string(out)), err)
	}
	return nil
}

// privileged is the process that inUserNamespace starts.
func privileged() int {
	to := netip.MustParseAddr(os.Args[1])
	_, packet := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	raw := ping(to, unix.SOCK_RAW)
	if packet != nil && raw != nil {
		fmt.Println(packet, raw, "")
		return 1
	}
	return 0
}
