package testnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The two ends of the veth pair, by the name each has in its own namespace.
const (
	clientEnd   = "uplink"
	internetEnd = "clients"
)

// link is the two namespaces and the cable between them. Nothing of it has a
// name outside: it is gone with the last process and file descriptor.
type link struct {
	client, internet netns.NsHandle
}

// newLink makes both namespaces and joins them. On error nothing is left.
func newLink() (*link, error) {
	l := &link{client: netns.None(), internet: netns.None()}
	for _, step := range []func() error{l.makeSpaces, l.layCable, l.addressInternet, l.addressClient} {
		if err := step(); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// close gives the namespaces up.
func (l *link) close() {
	for _, ns := range []*netns.NsHandle{&l.client, &l.internet} {
		if ns.IsOpen() {
			_ = ns.Close()
		}
	}
}

// inside runs f on this goroutine with its thread in ns. If the thread cannot
// come back, it dies with the goroutine.
func inside(ns netns.NsHandle, f func() error) (err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open this thread's network namespace: %w", err)
	}
	defer home.Close()
	if err := netns.Set(ns); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	defer func() {
		if back := netns.Set(home); back != nil {
			err = errors.Join(err, fmt.Errorf("return from a network namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// makeSpaces makes the two namespaces, without moving any thread for good.
func (l *link) makeSpaces() error {
	home, err := netns.Get()
	if err != nil {
		return fmt.Errorf("open this thread's network namespace: %w", err)
	}
	defer home.Close()
	for _, ns := range []*netns.NsHandle{&l.client, &l.internet} {
		err := inside(home, func() error {
			made, err := netns.New() // moves the thread; inside brings it back
			*ns = made
			return err
		})
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
	}
	return nil
}

// layCable makes the veth pair, an end in each namespace.
func (l *link) layCable() error {
	h, err := netlink.NewHandleAt(l.client)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	err = h.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: clientEnd},
		PeerName:      internetEnd,
		PeerNamespace: netlink.NsFd(l.internet),
	})
	if err != nil {
		return fmt.Errorf("add veth pair %s: %w", clientEnd, err)
	}
	return nil
}

// addressInternet gives the internet's end every address of Hosts.
func (l *link) addressInternet() error {
	h, err := netlink.NewHandleAt(l.internet)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	if err := raise(h, "lo"); err != nil {
		return err
	}
	if err := raise(h, internetEnd, "192.0.2.1/24", "2001:db8::1/64"); err != nil {
		return err
	}
	for _, host := range Hosts() {
		if host.Name == Silent || host.Name == Unroutable {
			continue
		}
		for _, a := range host.Addrs() {
			if err := addAddr(h, "lo", netip.PrefixFrom(a, a.BitLen()).String()); err != nil {
				return err
			}
		}
	}
	// All of Many's addresses are here, and refuse.
	many := prefix("203.0.113.128/25")
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	routes := []*netlink.Route{{LinkIndex: lo.Attrs().Index, Dst: many, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}}
	for _, a := range Lookup(Silent).Addrs() {
		routes = append(routes, &netlink.Route{Dst: prefix(netip.PrefixFrom(a, a.BitLen()).String()), Type: unix.RTN_BLACKHOLE})
	}
	return addRoutes(h, routes)
}

// addressClient brings the client's end up, with its default routes.
func (l *link) addressClient() error {
	h, err := netlink.NewHandleAt(l.client)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	if err := raise(h, "lo"); err != nil {
		return err
	}
	if err := raise(h, clientEnd, "192.0.2.2/24", "2001:db8::2/64"); err != nil {
		return err
	}
	up, err := h.LinkByName(clientEnd)
	if err != nil {
		return fmt.Errorf("find %s: %w", clientEnd, err)
	}
	routes := []*netlink.Route{
		{LinkIndex: up.Attrs().Index, Dst: prefix("0.0.0.0/0"), Gw: net.ParseIP("192.0.2.1")},
		{LinkIndex: up.Attrs().Index, Dst: prefix("::/0"), Gw: net.ParseIP("2001:db8::1")},
	}
	for _, a := range Lookup(Unroutable).Addrs() {
		routes = append(routes, &netlink.Route{Dst: prefix(netip.PrefixFrom(a, a.BitLen()).String()), Type: unix.RTN_UNREACHABLE})
	}
	return addRoutes(h, routes)
}

// prefix is s as netlink wants it.
func prefix(s string) *net.IPNet {
	p := netip.MustParsePrefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// addRoutes adds routes; those that are there already stay.
func addRoutes(h *netlink.Handle, routes []*netlink.Route) error {
	for _, r := range routes {
		if err := h.RouteReplace(r); err != nil {
			return fmt.Errorf("add route %v: %w", r.Dst, err)
		}
	}
	return nil
}

// raise sets the interface called name up and gives it addrs.
func raise(h *netlink.Handle, name string, addrs ...string) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if err := h.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	for _, a := range addrs {
		if err := addAddr(h, name, a); err != nil {
			return err
		}
	}
	return nil
}

// addAddr gives the interface called name the address cidr. Duplicate address
// detection (RFC 4862 section 5.4) is left out: it would take a second.
func addAddr(h *netlink.Handle, name, cidr string) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	p := netip.MustParsePrefix(cidr)
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrReplace(l, a); err != nil {
		return fmt.Errorf("add %s to %s: %w", cidr, name, err)
	}
	return nil
}

// tenant is a process in one of the namespaces.
type tenant struct {
	pid     int
	command string
	space   string
}

// tenants are the processes that have a thread in one of the namespaces.
func (l *link) tenants() ([]tenant, error) {
	ours := make(map[string]bool)
	for _, ns := range []netns.NsHandle{l.client, l.internet} {
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", int(ns)))
		if err != nil {
			return nil, fmt.Errorf("name a network namespace: %w", err)
		}
		ours[name] = true
	}
	spaces, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/ns/net")
	if err != nil {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	var found []tenant
	seen := make(map[int]bool)
	for _, path := range spaces {
		name, err := os.Readlink(path)
		if err != nil || !ours[name] {
			continue // the thread is gone, or is another's
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil || seen[pid] {
			continue
		}
		seen[pid] = true
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // "" if it is gone
		found = append(found, tenant{pid, strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " "), path})
	}
	return found, nil
}

// kill ends the process, unless another has its number by now.
func (t tenant) kill() {
	if t.pid == os.Getpid() {
		return
	}
	before, _ := os.Readlink(t.space)
	p, err := os.FindProcess(t.pid) // a pidfd from here on
	if err != nil {
		return
	}
	if after, err := os.Readlink(t.space); err == nil && after == before && after != "" {
		_ = p.Kill() // it may have ended itself
	}
	_ = p.Release()
}
