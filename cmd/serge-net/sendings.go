package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/redirect"
)

// A sending is what the command sent to one destination that did not come to us
// as a connection: it was refused, or it passed.
type sending struct {
	protocol string
	to       string // as a person has it: 192.0.2.1:123, or by name
	port     uint16
	why      string // as redirect.Escape has it
	count    uint64
	by       []sender
}

// A sender is a process that sent something, and how often.
type sender struct {
	Process string `json:"process"`
	PID     int    `json:"pid,omitempty"`
	Count   uint64 `json:"count"`
}

// sendings are all by destination, in order, with names of those that are pins.
func sendings(all []redirect.Escape, name func(netip.Addr) (string, bool)) []sending {
	type key struct {
		protocol, why string
		dst           netip.AddrPort
	}
	var out []sending
	at := map[key]int{}
	for _, e := range all {
		k := key{e.Protocol, e.Why, e.Dst}
		i, ok := at[k]
		if !ok {
			i, at[k] = len(out), len(out)
			out = append(out, sending{protocol: e.Protocol, to: destination(e.Dst, name), port: e.Dst.Port(), why: e.Why})
		}
		out[i].count += e.Count
		if e.PID != 0 || e.Process != "" {
			out[i].by = append(out[i].by, sender{e.Process, e.PID, e.Count})
		}
	}
	for _, s := range out {
		slices.SortStableFunc(s.by, func(a, b sender) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.PID, b.PID)) })
	}
	return out
}

// destination is to as a person has it.
func destination(to netip.AddrPort, name func(netip.Addr) (string, bool)) string {
	host := to.Addr().String()
	if n, ok := name(to.Addr().Unmap()); ok {
		host = n
	}
	if to.Port() == 0 { // ICMP has none
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(to.Port())))
}

// refused are those of sent that did not leave.
func (o outside) refused() []sending {
	return slices.DeleteFunc(slices.Clone(o.sent), func(s sending) bool { return s.why == "passed" })
}

// passed are those of sent that did.
func (o outside) passed() []sending {
	return slices.DeleteFunc(slices.Clone(o.sent), func(s sending) bool { return s.why != "passed" })
}

// String is what was sent, and where to: UDP to 192.0.2.1:123 (NTP).
func (s sending) String() string {
	text := strings.ToUpper(s.protocol) + " to " + s.to
	if use := datagramUse(s.port); use != "" && s.protocol == "udp" {
		text += " (" + use + ")"
	}
	return text
}

// sendersMost is how many processes a line names.
const sendersMost = 3

// senders is who sent it, with " by" before it, "" if that is not known.
func (s sending) senders() string {
	if len(s.by) == 0 {
		return ""
	}
	var names []string
	for _, b := range s.by[:min(len(s.by), sendersMost)] {
		name := cmp.Or(b.Process, "a process")
		if b.PID != 0 {
			name = fmt.Sprintf("%s (pid %d)", name, b.PID)
		}
		names = append(names, name)
	}
	text := " by " + strings.Join(names, ", ")
	if n := len(s.by) - len(names); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// passage tells of one that passed. TCP does where the lane hooks sockets, and one
// is in another network namespace, from which there may be no way out.
func (s sending) passage() string {
	where := ""
	if s.protocol == "tcp" {
		where = ", in a network namespace of its own"
	}
	return fmt.Sprintf("%s %s%s%s", s, times(s.count), s.senders(), where)
}

// refusal tells of one that was refused, and what can be done about it.
func (s sending) refusal() string {
	line := fmt.Sprintf("%s refused %s%s", s, times(s.count), s.senders())
	switch s.why {
	case "quic":
		return line + ": QUIC is not recorded; clients fall back to TCP\n" +
			"  one that does not: --quic record, or its own setting to leave HTTP/3 off"
	case "lane":
		return line + ": it does not leave the command's network namespace\n" +
			"  to let it pass unrecorded: --backend ebpf"
	case "datagram":
		return line + ": --udp does not let it pass\n" +
			"  to let it pass unrecorded: --udp " + s.to
	case "hermetic":
		line += ": nothing but loopback leaves this run\n"
		if s.protocol == "udp" && s.port != 443 {
			return line + "  it cannot be replayed; to let it pass unrecorded: --udp " + s.to
		}
		return line + "  what needs it cannot be replayed; to let it out: no --hermetic, and in a replay --on-miss passthrough"
	}
	return line
}

// escape is s in an account.
func (s sending) escape(kind string) escape {
	e := escape{Kind: kind, To: s.protocol + " " + s.to, Count: s.count, By: s.by}
	if kind == "refused" {
		e.Why = s.why
	}
	if s.protocol == "udp" {
		e.Use = datagramUse(s.port)
	}
	return e
}
