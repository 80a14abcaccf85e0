package redirect

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A ruleSet is what the rules of one diversion are made of. In each table that
// it needs there is a chain of its own, and outside of that one rule, the jump:
// it says whose packets go there. What a chain holds concerns the target alone.
type ruleSet struct {
	chain string   // its name, in every table
	tag   string   // the comment of the jumps, and of the first rule of each chain
	match []string // what tells the target's packets: arguments of iptables

	listener, packets ports // where connections and DNS questions go
	except            []netip.Prefix
	loopback          []uint16
	resolvers         []netip.Addr
	hermetic          bool
	pass              []Pass         // what UDP may leave, but to port 443
	pinned            []netip.Prefix // where that goes to packets too
	group             uint16         // NFLOG's; 0: the rules' counters are all there is
}

// ports are ours on loopback, by family. Zero is none: a host without ::1.
type ports struct{ v4, v6 uint16 }

// of is the one of family v6 or v4.
func (p ports) of(v6 bool) uint16 {
	if v6 {
		return p.v6
	}
	return p.v4
}

// A rule is one of iptables: a place, and its arguments.
type rule struct {
	table, chain string
	spec         []string
}

// Why a packet is logged: NFLOG's prefixes. whyLocal is no escape.
const (
	whyQUIC     = "quic"
	whyHermetic = "hermetic"
	whyDatagram = "datagram"
	whyPassed   = "passed"
	whyLane     = "lane"
	whyLocal    = "local"
)

// maxMultiport is how many the multiport match takes: XT_MULTI_PORTS.
const maxMultiport = 15

// tables are those that s needs, with the chain of the kernel's that leads to
// ours, in the order in which they are armed: what refuses before what diverts.
//
// A packet that nat has redirected is on its way to lo, but in filter's OUTPUT
// the out interface is still the one of before (nf_hook_state is filled once
// for all tables of a hook). Only POSTROUTING knows where it really leaves.
func (s ruleSet) tables() [][2]string {
	all := [][2]string{{"filter", "OUTPUT"}, {"nat", "OUTPUT"}}
	if s.hermetic {
		all = slices.Insert(all, 0, [2]string{"mangle", "POSTROUTING"})
	}
	return all
}

// rules are those of all of s's chains, in order.
func (s ruleSet) rules(v6 bool) []rule {
	var all []rule
	for _, t := range s.tables() {
		add := func(spec ...string) { all = append(all, rule{t[0], s.chain, spec}) }
		add("-m", "comment", "--comment", s.tag)
		switch t[0] {
		case "mangle":
			s.shut(v6, add)
		case "filter":
			s.refuse(v6, add)
		case "nat":
			s.divert(v6, add)
		}
	}
	return all
}

// jumps are the rules that lead to s's chains, from tables of which some are
// fresh.
func (s ruleSet) jumps(fresh map[string]bool) []rule {
	var all []rule
	for _, t := range s.tables() {
		tag := s.tag
		if fresh[t[0]] {
			tag += freshMark
		}
		spec := append(slices.Clone(s.match), "-m", "comment", "--comment", tag, "-j", s.chain)
		all = append(all, rule{t[0], t[1], spec})
	}
	return all
}

// shut lets nothing leave but by lo, and what may pass. What is dropped on its way
// out is EPERM to who sends it.
func (s ruleSet) shut(v6 bool, add func(...string)) {
	for _, p := range inFamily(s.pass, v6) {
		add(append(p.match(), "-j", "RETURN")...)
	}
	s.note(add, whyHermetic, "!", "-o", "lo")
	add("!", "-o", "lo", "-j", "DROP")
}

// refuse has what is not diverted fail at once: a dropped SYN would be sent
// again for two minutes.
func (s ruleSet) refuse(v6 bool, add func(...string)) {
	unreachable, local := "icmp-port-unreachable", loopbackPrefix(v6).String()
	if v6 {
		unreachable = "icmp6-port-unreachable"
	}
	reset := []string{"-p", "tcp", "!", "-o", "lo", "!", "-d", local}
	if s.listener.of(v6) == 0 { // nowhere to divert to
		add(append(reset, "-j", "REJECT", "--reject-with", "tcp-reset")...)
		add("-p", "udp", "--dport", "53", "!", "-o", "lo", "-j", "REJECT", "--reject-with", unreachable)
	}
	why := whyQUIC
	if s.hermetic {
		why = whyHermetic
	} else if except := joined(ofFamily(s.except, v6)); except != "" {
		add("-d", except, "-j", "RETURN")
	}
	quic := []string{"-p", "udp", "--dport", "443", "!", "-o", "lo"}
	s.note(add, why, quic...)
	add(append(quic, "-j", "REJECT", "--reject-with", unreachable)...)
	s.sift(v6, add)
	if s.hermetic {
		// A connection counts once, and one that conntrack has forgotten not at
		// all: what its ends still send is not redirected any more.
		s.note(add, whyHermetic, append([]string{"-p", "tcp", "--syn"}, reset[2:]...)...)
		add(append(reset, "-j", "REJECT", "--reject-with", "tcp-reset")...)
	}
}

// divert sends connections to the listener and questions to the packet socket.
// nat sees the first packet of a connection; its others follow.
func (s ruleSet) divert(v6 bool, add func(...string)) {
	listener, packets := s.listener.of(v6), s.packets.of(v6)
	if listener == 0 {
		return
	}
	tcp := []string{"-j", "REDIRECT", "--to-ports", strconv.Itoa(int(listener))}
	udp := []string{"-j", "REDIRECT", "--to-ports", strconv.Itoa(int(packets))}
	local := loopbackPrefix(v6).String()
	if !v6 {
		add(append([]string{"-d", probe.Addr().String(), "-p", "tcp", "--dport", strconv.Itoa(int(probe.Port()))}, tcp...)...)
	}
	var resolvers []netip.Prefix
	for _, a := range s.resolvers {
		resolvers = append(resolvers, netip.PrefixFrom(a, a.BitLen()))
	}
	if at := joined(ofFamily(resolvers, v6)); at != "" {
		add(append([]string{"-d", at, "-p", "tcp", "--dport", "53"}, tcp...)...)
		add(append([]string{"-d", at, "-p", "udp", "--dport", "53"}, udp...)...)
	}
	for some := range slices.Chunk(s.loopback, maxMultiport) {
		list := make([]string, len(some))
		for i, p := range some {
			list[i] = strconv.Itoa(int(p))
		}
		add(append([]string{"-d", local, "-p", "tcp", "-m", "multiport", "--dports", strings.Join(list, ",")}, tcp...)...)
	}
	s.note(add, whyLocal, "-d", local)
	add("-d", joined(append(leftAlone(v6), ofFamily(s.except, v6)...)), "-j", "RETURN")
	add(append([]string{"-p", "tcp"}, tcp...)...)
	add(append([]string{"-p", "udp", "--dport", "53"}, udp...)...)
	if len(s.pinned) > 0 { // QUIC is refused as what it is
		add("-p", "udp", "--dport", "443", "-j", "RETURN")
	}
	for _, p := range narrowed(inFamily(s.pass, v6), ofFamily(s.pinned, v6)) {
		add(append(p.match(), udp...)...)
	}
}

// sift counts UDP that may pass, and refuses what may not. What nat has redirected
// goes to loopback by now.
func (s ruleSet) sift(v6 bool, add func(...string)) {
	pass := inFamily(s.pass, v6)
	if s.hermetic && len(pass) == 0 { // shut sees to it
		return
	}
	add("-p", "udp", "-d", loopbackPrefix(v6).String(), "-j", "RETURN")
	leaves := []string{"!", "-o", "lo"}
	for _, p := range pass {
		match := append(p.match(), leaves...)
		s.note(add, whyPassed, match...)
		add(append(match, "-m", "comment", "--comment", whyPassed, "-j", "RETURN")...)
	}
	if s.hermetic {
		return
	}
	match := append([]string{"-p", "udp"}, leaves...)
	s.note(add, whyDatagram, match...)
	add(append(match, "-m", "comment", "--comment", whyDatagram, "-j", "DROP")...)
}

// match are p's packets, as iptables is told.
func (p Pass) match() []string {
	match := []string{"-p", "udp"}
	if p.To.IsValid() {
		match = append(match, "-d", p.To.Masked().String())
	}
	if p.Port != 0 {
		match = append(match, "--dport", strconv.Itoa(int(p.Port)))
	}
	return match
}

// note has the packets that match logged, if there is a group to log to.
func (s ruleSet) note(add func(...string), why string, match ...string) {
	if s.group == 0 {
		return
	}
	add(append(slices.Clone(match), "-j", "NFLOG", "--nflog-group", strconv.Itoa(int(s.group)), "--nflog-prefix", why)...)
}

// loopbackPrefix are the addresses of lo.
func loopbackPrefix(v6 bool) netip.Prefix {
	if v6 {
		return netip.MustParsePrefix("::1/128")
	}
	return netip.MustParsePrefix("127.0.0.0/8")
}

// leftAlone are the destinations that no target is diverted from: loopback,
// link-local, multicast and broadcast ones.
func leftAlone(v6 bool) []netip.Prefix {
	all := []netip.Prefix{loopbackPrefix(v6)}
	others := []string{"169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"}
	if v6 {
		others = []string{"fe80::/10", "ff00::/8"}
	}
	for _, o := range others {
		all = append(all, netip.MustParsePrefix(o))
	}
	return all
}

// ofFamily are those of all that are IPv6, or that are IPv4.
func ofFamily(all []netip.Prefix, v6 bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool { return p.Addr().Unmap().Is6() != v6 })
}

// joined are prefixes as one argument, of which iptables makes a rule each.
func joined(all []netip.Prefix) string {
	list := make([]string, len(all))
	for i, p := range all {
		list[i] = p.Masked().String()
	}
	return strings.Join(list, ",")
}
