package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-iptables/iptables"
	"golang.org/x/sys/unix"
)

// escapeCounts tell what the rules of the iptables lane refused, and what UDP
// they let pass: by NFLOG, or by the rules' own counters. They are safe for concurrent use.
type escapeCounts struct {
	log      *packetLog // nil where NFLOG is not to be had
	hermetic bool

	mu   sync.Mutex
	kept bool // the rules are gone, and last is all there was
	last []Escape
	err  error
}

// escapes returns the counts so far, ordered by destination.
func (c *escapeCounts) escapes(x xtables, chain string) ([]Escape, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept {
		return c.last, c.err
	}
	if c.log == nil && chain == "" {
		return nil, nil // nothing was armed
	}
	if c.log == nil {
		var all []Escape
		err := asAdmin(func() (err error) {
			all, err = x.counters(chain, c.hermetic)
			return err
		})
		return all, err
	}
	counts, lost := c.log.noted()
	var all []Escape
	for n, count := range counts {
		if n.why != whyLocal {
			all = append(all, Escape{Protocol: protocolName(n.protocol), Dst: n.dst, Why: n.why, Count: count, PID: n.pid, Process: c.log.nameOf(n.pid)})
		}
	}
	slices.SortFunc(all, inOrder)
	if lost {
		return all, errors.New("redirect: more packets were refused, or passed, than could be counted")
	}
	return all, nil
}

// keep takes the last counts before the rules are removed.
func (c *escapeCounts) keep(x xtables, chain string) {
	last, err := c.escapes(x, chain)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.err, c.kept = last, err, true
}

// talks is what the rules noted on loopback.
func (c *escapeCounts) talks() ([]talk, error) {
	if c.log == nil {
		return nil, nil
	}
	counts, _ := c.log.noted()
	var all []talk
	for n, count := range counts {
		if n.why == whyLocal && (n.protocol == unix.IPPROTO_TCP || n.protocol == unix.IPPROTO_UDP) {
			all = append(all, talk{protocol: n.protocol, dst: n.dst, count: count})
		}
	}
	return all, nil
}

// counters are the escapes that the rules in the chain counted. They have no
// address, but the family's unspecified one, and the port that the rule names.
func (x xtables) counters(chain string, hermetic bool) ([]Escape, error) {
	var all []Escape
	for _, f := range x {
		list, err := f.lister()
		if err != nil {
			return all, fmt.Errorf("redirect: count: %w", err)
		}
		for _, table := range []string{"filter", "mangle"} {
			lines, err := list.ListWithCounters(table, chain)
			if err != nil {
				if table == "mangle" && !hermetic {
					continue
				}
				return all, fmt.Errorf("redirect: count: %s", flat(err.Error()))
			}
			for _, l := range lines {
				if e, ok := parseCounter(l, f.v6, hermetic); ok {
					all = append(all, e)
				}
			}
		}
	}
	return all, nil
}

// lister lists rules with what they counted.
func (f xfamily) lister() (*iptables.IPTables, error) {
	family := iptables.ProtocolIPv4
	if f.v6 {
		family = iptables.ProtocolIPv6
	}
	return iptables.New(iptables.Path(f.path), iptables.IPFamily(family), iptables.Timeout(int(lockPatience/time.Second)))
}

// parseCounter reads one rule as iptables -S -v has it, and is false for one
// that refused and passed nothing.
func parseCounter(line string, v6, hermetic bool) (Escape, bool) {
	e := Escape{Protocol: "ip", Why: whyQUIC}
	if hermetic {
		e.Why = whyHermetic
	}
	words := strings.Fields(line)
	at := func(option string) string {
		if i := slices.Index(words, option); i >= 0 && i+1 < len(words) {
			return words[i+1]
		}
		return ""
	}
	switch to, why := at("-j"), at("--comment"); {
	case why == whyDatagram || why == whyPassed:
		e.Why = why
	case to != "REJECT" && to != "DROP":
		return e, false
	}
	addr := netip.IPv4Unspecified()
	if v6 {
		addr, e.Protocol = netip.IPv6Unspecified(), "ipv6"
	}
	port, _ := strconv.ParseUint(at("--dport"), 10, 16) // 0 where the rule has none
	e.Dst = netip.AddrPortFrom(addr, uint16(port))
	if p := at("-p"); p != "" {
		e.Protocol = p
	}
	e.Count, _ = strconv.ParseUint(at("-c"), 10, 64)
	return e, e.Count > 0
}
