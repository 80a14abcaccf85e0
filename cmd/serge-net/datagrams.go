package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/serge-net/serge-net/dnsstub"
	"github.com/serge-net/serge-net/mitm"
	"github.com/serge-net/serge-net/redirect"
)

// A datagramRule is what --udp says: which UDP leaves unrecorded, of that which is
// neither DNS nor QUIC nor stays on this host.
type datagramRule struct {
	pass  []redirect.Pass // as redirect.Target has them: nil is what the mode has, empty is none
	hosts []hostRule
}

// A hostRule is UDP to hosts by name.
type hostRule struct {
	name string // lower case; * stands for anything
	port uint16 // 0: any
}

// datagramWords are what --udp takes beside what is to pass.
func datagramWords() []string { return []string{"auto", "pass", "refuse"} }

// datagramsOf reads what --udp says.
func datagramsOf(words []string) (datagramRule, error) {
	if len(words) == 1 && slices.Contains(datagramWords(), words[0]) {
		return map[string]datagramRule{"auto": {}, "pass": {pass: []redirect.Pass{{}}}, "refuse": {pass: []redirect.Pass{}}}[words[0]], nil
	}
	d := datagramRule{pass: []redirect.Pass{}}
	for _, w := range words {
		if err := d.add(w); err != nil {
			return d, hint(fmt.Errorf("--udp %q: %w", w, err), "auto, pass, refuse, or what is to pass: 123, 192.0.2.1:514, 10.0.0.0/8, statsd.example.com:8125")
		}
	}
	return d, nil
}

// add reads what is to pass: a port, or a host, an address or a prefix, with a
// port behind it or without.
func (d *datagramRule) add(w string) error {
	if slices.Contains(datagramWords(), w) {
		return errors.New("it stands alone")
	}
	to, port, err := cutPort(w)
	switch {
	case err != nil:
		return err
	case port == 53:
		return errors.New("that is DNS, which the stub answers")
	case port == 443:
		return errors.New("that is QUIC, of which --quic says what becomes")
	}
	if to == "" {
		d.pass = append(d.pass, redirect.Pass{Port: port})
		return nil
	}
	if prefix, err := netip.ParsePrefix(to); err == nil {
		d.pass = append(d.pass, redirect.Pass{To: prefix.Masked(), Port: port})
		return nil
	}
	if a, err := netip.ParseAddr(strings.Trim(to, "[]")); err == nil {
		a = a.WithZone("").Unmap()
		d.pass = append(d.pass, redirect.Pass{To: netip.PrefixFrom(a, a.BitLen()), Port: port})
		return nil
	}
	if _, err := path.Match(to, ""); err != nil || strings.ContainsAny(to, ":/@ \t") {
		return errors.New("neither port, host, address nor prefix")
	}
	d.hosts = append(d.hosts, hostRule{strings.ToLower(to), port})
	return nil
}

// cutPort is w without its port, and that: 0 if it has none. All of it may be one.
func cutPort(w string) (to string, port uint16, err error) {
	if _, err := netip.ParsePrefix(w); err == nil {
		return w, 0, nil
	}
	if _, err := netip.ParseAddr(strings.Trim(w, "[]")); err == nil {
		return w, 0, nil
	}
	text := w
	if i := strings.LastIndexByte(w, ':'); i >= 0 {
		to, text = w[:i], w[i+1:]
	} else if strings.Trim(w, "0123456789") != "" {
		return w, 0, nil
	}
	one, err := ports([]string{text})
	if err != nil || w == "" {
		return "", 0, errors.New("no port")
	}
	return to, one[0], nil
}

// target is d for the lane, which knows hosts by pins.
func (d datagramRule) target() []redirect.Pass {
	all := d.pass
	for _, h := range d.hosts {
		for _, r := range dnsstub.PinRanges() {
			all = append(all, redirect.Pass{To: r, Port: h.port})
		}
	}
	return all
}

// allows tells whether what is sent to a, which is called name, may pass. The lane
// let it through, so it is one of those that target has.
func (d datagramRule) allows(name string, a netip.AddrPort) bool {
	if len(d.hosts) == 0 || name == "" {
		return true
	}
	return slices.ContainsFunc(d.hosts, func(h hostRule) bool {
		ok, _ := path.Match(h.name, strings.ToLower(name)) // add tried the pattern
		return ok && (h.port == 0 || h.port == a.Port())
	}) || slices.ContainsFunc(d.pass, func(p redirect.Pass) bool {
		return (!p.To.IsValid() || p.To.Contains(a.Addr())) && (p.Port == 0 || p.Port == a.Port())
	})
}

// A datagramRelay counts the datagrams that pass by us, rather than by the kernel alone.
// Its methods are safe for concurrent use.
type datagramRelay struct {
	packets *redirect.Packets
	rule    datagramRule
	name    func(netip.Addr) (string, bool) // of a pin
	dialer  *net.Dialer

	mu   sync.Mutex
	sent map[redirect.Escape]*atomic.Uint64 // by all but Escape.Count
}

// serve passes datagrams on until the lane is closed.
func (r *datagramRelay) serve() { mitm.RelayDatagrams(r.packets, r.dial) }

// dial leads to where client means, or nowhere.
func (r *datagramRelay) dial(ctx context.Context, client, queried netip.AddrPort) (net.Conn, error) {
	name, pinned := r.name(queried.Addr().Unmap())
	who := r.packets.Sender(client, queried)
	what := redirect.Escape{Protocol: "udp", Dst: queried, Why: "passed", PID: who.PID, Process: who.Command}
	if !r.rule.allows(name, queried) {
		what.Why = "datagram"
		return &countedConn{&deadEnd{closed: make(chan struct{})}, r.count(what)}, nil
	}
	host := queried.Addr().String()
	if pinned {
		host = name
	}
	c, err := r.dialer.DialContext(ctx, "udp", net.JoinHostPort(host, strconv.Itoa(int(queried.Port()))))
	if err != nil {
		return nil, err
	}
	return &countedConn{c, r.count(what)}, nil
}

// count is how often what was sent.
func (r *datagramRelay) count(what redirect.Escape) *atomic.Uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil {
		r.sent = make(map[redirect.Escape]*atomic.Uint64)
	}
	if r.sent[what] == nil {
		r.sent[what] = new(atomic.Uint64)
	}
	return r.sent[what]
}

// escapes are what was sent so far: one for each destination and process.
func (r *datagramRelay) escapes() []redirect.Escape {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []redirect.Escape
	for e, n := range r.sent {
		if e.Count = n.Load(); e.Count > 0 {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b redirect.Escape) int { return cmp.Or(a.Dst.Compare(b.Dst), cmp.Compare(a.PID, b.PID)) })
	return all
}

// countedConn counts what is written.
type countedConn struct {
	net.Conn
	sent *atomic.Uint64
}

// Write implements net.Conn.
func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		c.sent.Add(1)
	}
	return n, err
}

// A deadEnd takes what is written, and nothing comes back.
type deadEnd struct {
	net.Conn // nil: nothing else of it is called
	once     sync.Once
	closed   chan struct{}
}

// Write implements net.Conn.
func (d *deadEnd) Write(b []byte) (int, error) { return len(b), nil }

// Read implements net.Conn.
func (d *deadEnd) Read([]byte) (int, error) {
	<-d.closed
	return 0, net.ErrClosed
}

// Close implements net.Conn.
func (d *deadEnd) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// datagramUse is what UDP port is for, "" if that is not known: IANA's registry,
// https://www.iana.org/assignments/service-names-port-numbers, and what programs
// that are not in it have by default.
func datagramUse(port uint16) string {
	return map[uint16]string{
		53: "DNS", 67: "DHCP", 68: "DHCP", 69: "TFTP", 88: "Kerberos", 111: "portmapper", 123: "NTP", 137: "NetBIOS", 138: "NetBIOS",
		161: "SNMP", 162: "SNMP trap", 389: "LDAP", 443: "QUIC", 500: "IKE", 514: "syslog", 546: "DHCPv6", 547: "DHCPv6",
		623: "IPMI", 853: "DNS over QUIC", 1194: "OpenVPN", 1812: "RADIUS", 1813: "RADIUS", 1900: "SSDP", 2055: "NetFlow",
		3478: "STUN", 3702: "WS-Discovery", 4500: "IPsec", 4739: "IPFIX", 5060: "SIP", 5061: "SIP", 5351: "NAT-PMP", 5353: "mDNS",
		5355: "LLMNR", 5683: "CoAP", 5684: "CoAP", 6343: "sFlow", 6831: "Jaeger", 6832: "Jaeger", 8125: "StatsD",
		12201: "GELF", 25826: "collectd", 51820: "WireGuard",
	}[port]
}
