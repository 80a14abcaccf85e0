package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/serge-net/serge-net/redirect"
)

// An outside is what a run did beside us: what was refused, what passed, and whom
// on this host it talked to.
type outside struct {
	sent  []sending
	local []redirect.Local
	// open are the sockets by which names may have been resolved unseen.
	open  []string
	loose bool  // packets could leave: of a replay an attach says so, or --udp
	err   error // some of it may be missing
}

// outside asks the lane, while whom the command talked to is still there.
func (r *runner) outside() outside {
	sent, err := r.lane.Escapes()
	local, localErr := r.lane.Local()
	o := outside{sent: sendings(append(sent, r.relay.escapes()...), r.pins.NameOf), local: local, err: errors.Join(err, localErr)}
	o.loose = len(r.udp.target()) > 0
	if !r.lane.Private() {
		o.open = present(resolverSockets())
	}
	return o
}

// resolverSockets are where libc asks for names without a packet: nscd(8) and
// nss-resolve(8).
func resolverSockets() []string {
	return []string{"/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"}
}

// present are those of paths that exist.
func present(paths []string) []string {
	var there []string
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			there = append(there, p)
		}
	}
	return there
}

// isolated tells whether nothing of the command's went beside us: what was
// refused did not, and a plain server on loopback is listed instead.
func (o outside) isolated() bool {
	return !o.loose && len(o.open) == 0 && o.err == nil && len(o.strayed()) == 0
}

// strayed is the local part of what escaped: to those who do the command's
// work in its stead, or to where nobody can follow.
func (o outside) strayed() []redirect.Local {
	var all []redirect.Local
	for _, l := range o.local {
		if l.Resident != "" || l.Network == "vsock" {
			all = append(all, l)
		}
	}
	return all
}

// escaped counts what escaped.
func (o outside) escaped() int { return len(o.refused()) + len(o.strayed()) + len(o.open) }

// lines tell what escaped, each with what can be done about it.
func (o outside) lines() []string {
	var all []string
	for _, s := range o.refused() {
		all = append(all, s.refusal())
	}
	for _, l := range o.strayed() {
		all = append(all, strayedLine(l))
	}
	for _, path := range o.open {
		all = append(all, fmt.Sprintf("%s could be asked for names, unseen: it is hidden only where a private mount namespace can be had\n"+
			"  %s", path, "stop it for the run, or see serge-net doctor"))
	}
	return all
}

// strayedLine is one whom the command talked to beside us.
func strayedLine(l redirect.Local) string {
	if l.Network == "vsock" {
		return fmt.Sprintf("the command made %s, which lead to the hypervisor or its guests: they are not seen\n"+
			"  to deny them: systemd-run -p RestrictAddressFamilies=~AF_VSOCK, or a container's seccomp profile", count(l.Count, "vsock socket"))
	}
	return fmt.Sprintf("%s is a %s that does not belong to the command: what it does for it is not recorded\n  %s",
		localName(l), l.Resident, l.Hint)
}

// used lists the servers on this host that the command used, "" if there is none.
func (o outside) used() string {
	var all []string
	for _, l := range o.local {
		if l.Resident == "" && l.Network != "vsock" {
			all = append(all, localName(l))
		}
	}
	return strings.Join(all, ", ")
}

// localName is how l is named to a person: 127.0.0.1:5432 (postgres).
func localName(l redirect.Local) string {
	name := l.Path
	switch l.Network {
	case "tcp":
		name = l.Dst.String()
	case "udp":
		name = "UDP " + l.Dst.String()
	}
	switch {
	case l.Process == "":
		return name + " (an unknown process)"
	case l.Resident != "":
		return fmt.Sprintf("%s (%s, pid %d)", name, l.Process, l.PID)
	}
	return fmt.Sprintf("%s (%s)", name, l.Process)
}

// times is how often something came.
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// count is n of thing.
func count(n uint64, thing string) string {
	if n == 1 {
		return "a " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
