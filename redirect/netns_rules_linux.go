package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A netWay is how a network namespace sends us what it diverts: its TCP
// connections, by byTProxy or byRedirect, and its DNS questions, by byRewrite or
// byNAT.
type netWay struct {
	TCP, DNS string
}

// netWays are all, best first.
func netWays() []netWay {
	return []netWay{{byTProxy, byRewrite}, {byTProxy, byNAT}, {byRedirect, byRewrite}, {byRedirect, byNAT}}
}

const (
	// byTProxy hands a connection to our listener as it is, in prerouting. What
	// the client asked for is the accepted socket's own address. Nothing is
	// tracked, nothing translated.
	byTProxy = "tproxy"
	// byRedirect translates the destination, in output, where the kernel has no
	// TPROXY. What the client asked for is SO_ORIGINAL_DST.
	byRedirect = "redirect"
	// byRewrite changes the port of each question, and of each answer. Nothing is
	// tracked.
	byRewrite = "rewrite"
	// byNAT has conntrack do so, where the kernel lets nobody in a user namespace
	// change a packet: Linux 7.2, measured.
	byNAT = "nat"
)

// ownMark is the SO_MARK of our own sockets inside, which go where they say.
const ownMark = 0x73657267

const (
	tableName   = "serge-net"
	hostPorts   = "host-ports" // set of those that we pass on to the host's loopback
	escapeSet   = "escapes"    // set of what was refused: protocol, destination, port
	escapeLimit = 4096         // elements of it: more destinations are refused uncounted
)

// A ruleset is the rules of one address family in the target's namespace.
type ruleset struct {
	netPlan
	way      netWay
	own      netip.Addr     // of ownAddrs
	loopback netip.Prefix   // 127.0.0.0/8 or ::1/128
	listener netip.AddrPort // gets the TCP connections
	stubs    []stub         // get the datagrams; 53's is the first
	relay    uint16         // the port that gets those which pass; 0: none does
}

// A stub is where datagrams go: those to port go to at.
type stub struct{ port, at uint16 }

// rulesFor are the rules for connections to l and datagrams to stubs.
func rulesFor(p netPlan, way netWay, l netip.AddrPort, stubs ...stub) *ruleset {
	r := &ruleset{netPlan: p, way: way, listener: l, stubs: stubs}
	if l.Addr().Is4() {
		r.own, r.loopback = ownAddrs()[0], netip.MustParsePrefix("127.0.0.0/8")
	} else {
		r.own, r.loopback = ownAddrs()[1], netip.MustParsePrefix("::1/128")
	}
	return r
}

// table is the one that the rules are in.
func (r *ruleset) table() *nftables.Table {
	f := nftables.TableFamilyIPv4
	if r.own.Is6() {
		f = nftables.TableFamilyIPv6
	}
	return &nftables.Table{Name: tableName, Family: f}
}

// ports is the set hostPorts.
func (r *ruleset) ports() *nftables.Set {
	return &nftables.Set{Table: r.table(), Name: hostPorts, KeyType: nftables.TypeInetService}
}

// escapes is the set escapeSet.
func (r *ruleset) escapes() *nftables.Set {
	addr := nftables.TypeIPAddr
	if r.own.Is6() {
		addr = nftables.TypeIP6Addr
	}
	return &nftables.Set{Table: r.table(), Name: escapeSet, Dynamic: true, Size: escapeLimit,
		Concatenation: true, KeyType: nftables.MustConcatSetType(nftables.TypeInetProto, addr, nftables.TypeInetService)}
}

// add puts the rules into c.
func (r *ruleset) add(c *nftables.Conn) error {
	c.AddTable(r.table())
	ports, escapes := r.ports(), r.escapes()
	for _, s := range []*nftables.Set{ports, escapes} {
		if err := c.AddSet(s, nil); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	r.chain(c, "out", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityRaw, r.out(escapes))
	if r.way.DNS == byNAT {
		r.chain(c, "ask", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest,
			r.datagrams(func(s stub) []expr.Any { return translate(r.table(), s.at) }, accept()))
	}
	if r.way.TCP == byRedirect {
		r.chain(c, "divert", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, r.divert(ports))
	} else {
		r.chain(c, "divert", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityMangle, r.divert(ports))
	}
	return nil
}

// chain puts a base chain of rules into c.
func (r *ruleset) chain(c *nftables.Conn, name string, kind nftables.ChainType, hook *nftables.ChainHook,
	priority *nftables.ChainPriority, rules [][]expr.Any) {
	chain := c.AddChain(&nftables.Chain{Name: name, Table: r.table(), Type: kind, Hooknum: hook, Priority: priority})
	for _, rule := range rules {
		c.AddRule(&nftables.Rule{Table: r.table(), Chain: chain, Exprs: rule})
	}
}

// out are the rules for what is sent: diverted datagrams go to the stubs, by a change
// of their port alone, as all addresses are this host's; TCP and what stays on
// loopback go on; the rest is refused (sendmsg(2) returns EPERM) and counted.
func (r *ruleset) out(escapes *nftables.Set) [][]expr.Any {
	ask := func(s stub) []expr.Any { return all(setPort(destination, s.at), accept()) }
	answer := func(s stub) []expr.Any { return all(setPort(source, s.port), accept()) }
	if r.way.DNS == byNAT { // which comes later, and knows the answers
		ask = func(stub) []expr.Any { return accept() }
		answer = ask
	}
	var rules [][]expr.Any
	if r.relays() {
		rules = append(rules, all(mark(ownMark), r.pass()))
	}
	for _, s := range r.stubs {
		rules = append(rules, all(protocol(unix.IPPROTO_UDP), port(source, s.at), answer(s)))
	}
	rules = append(rules, r.spared(escapes)...)
	rules = append(rules, r.datagrams(ask, r.pass())...)
	for _, p := range r.Refuse {
		if p.Addr().Is4() == r.own.Is4() {
			rules = append(rules, all(protocol(unix.IPPROTO_TCP), r.to(p), r.count(escapes, true), reset()))
		}
	}
	rules = append(rules, all(protocol(unix.IPPROTO_TCP), r.pass()))
	rules = append(rules, r.passes(escapes)...)
	for _, p := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP} {
		rules = append(rules, all(protocol(p), r.count(escapes, true), drop()))
	}
	return append(rules, all(r.count(escapes, false), drop()))
}

// spared are the rules that refuse datagrams to destinations that are not
// diverted: those to port 53 are all the same.
func (r *ruleset) spared(escapes *nftables.Set) [][]expr.Any {
	var rules [][]expr.Any
	for _, s := range r.stubs[1:] {
		for _, p := range r.Spared {
			if p.Addr().Is4() == r.own.Is4() {
				rules = append(rules, all(protocol(unix.IPPROTO_UDP), port(destination, s.port), r.to(p), r.count(escapes, true), drop()))
			}
		}
	}
	return rules
}

// datagrams are the rules that do ask with what is for a stub, but for other
// servers on loopback, and pass with all that stays there.
func (r *ruleset) datagrams(ask func(stub) []expr.Any, pass []expr.Any) [][]expr.Any {
	to := func(s stub) []expr.Any {
		return all(protocol(unix.IPPROTO_UDP), port(destination, s.port), ask(s))
	}
	var rules [][]expr.Any
	for _, a := range r.resolvers() {
		rules = append(rules, all(r.to(netip.PrefixFrom(a, a.BitLen())), to(r.stubs[0])))
	}
	rules = append(rules,
		all(r.to(r.loopback), pass),
		all(r.to(netip.PrefixFrom(r.own, r.own.BitLen())), pass))
	for _, s := range r.stubs {
		rules = append(rules, to(s))
	}
	return rules
}

// pass lets a packet go on: untracked, where conntrack is there for questions
// alone, so that it neither counts against its limit nor has its port changed.
func (r *ruleset) pass() []expr.Any {
	if r.way == (netWay{byTProxy, byNAT}) {
		return append([]expr.Any{&expr.Notrack{}}, accept()...)
	}
	return accept()
}

// divert are the rules for TCP connections, which go to our listener but for
// loopback: of that only the probe, the name servers, Loopback, and the ports
// that somebody listens to on the host and nobody inside.
func (r *ruleset) divert(ports *nftables.Set) [][]expr.Any {
	tcp := protocol(unix.IPPROTO_TCP)
	rules := [][]expr.Any{all(mark(ownMark), accept())}
	if p := probe.Addr(); p.Is4() == r.own.Is4() {
		rules = append(rules, all(tcp, r.to(netip.PrefixFrom(p, p.BitLen())), port(destination, probe.Port()), r.take()))
	}
	for _, a := range r.resolvers() {
		rules = append(rules, all(tcp, r.to(netip.PrefixFrom(a, a.BitLen())), port(destination, 53), r.take()))
	}
	for _, p := range r.Loopback {
		rules = append(rules, all(tcp, r.to(r.loopback), port(destination, p), r.take()))
	}
	host := all(tcp, r.to(netip.PrefixFrom(r.listener.Addr(), r.own.BitLen())), loadPort(destination),
		[]expr.Any{&expr.Lookup{SourceRegister: 1, SetName: ports.Name, SetID: ports.ID}})
	if r.way.TCP == byTProxy { // the rule ends where there is no such socket
		rules = append(rules, all(host, []expr.Any{&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1}}, accept()))
	}
	rules = append(rules,
		all(host, r.take()),
		all(r.to(r.loopback), accept()),
		all(r.to(netip.PrefixFrom(r.own, r.own.BitLen())), accept()),
		all(tcp, r.take()))
	return append(rules, r.relayed()...)
}

// resolvers are the name servers on loopback.
func (r *ruleset) resolvers() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(r.Resolvers), func(a netip.Addr) bool { return !r.loopback.Contains(a) })
}

// take hands a connection to the listener.
func (r *ruleset) take() []expr.Any {
	if r.way.TCP == byRedirect {
		port := &expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, r.listener.Port())}
		return []expr.Any{port, &expr.Redir{RegisterProtoMin: 2}}
	}
	return r.tproxy(r.listener.Port())
}

// edit adds ports to the set hostPorts, and takes others from it.
func (r *ruleset) edit(add, remove []uint16) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	set := r.ports()
	err = errors.Join(c.SetAddElements(set, elements(add)), c.SetDeleteElements(set, elements(remove)))
	return errors.Join(err, c.Flush())
}

// elements are ports as a set has them.
func elements(ports []uint16) []nftables.SetElement {
	var all []nftables.SetElement
	for _, p := range ports {
		all = append(all, nftables.SetElement{Key: binary.BigEndian.AppendUint16(nil, p)})
	}
	return all
}

// refused returns what the rules refused so far.
func (r *ruleset) refused() ([]Escape, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	counted, err := c.GetSetElements(r.escapes())
	if err != nil {
		return nil, fmt.Errorf("read what was refused: %w", err)
	}
	var all []Escape
	n := r.own.BitLen() / 8
	for _, e := range counted {
		if len(e.Key) < 4+n+2 || e.Counter == nil {
			return all, fmt.Errorf("read what was refused: the kernel answers % x", e.Key)
		}
		addr, _ := netip.AddrFromSlice(e.Key[4 : 4+n])
		all = append(all, Escape{
			Protocol: protocolName(e.Key[0]),
			Dst:      netip.AddrPortFrom(addr, binary.BigEndian.Uint16(e.Key[4+n:])),
			Why:      r.why(e.Key[0], addr, binary.BigEndian.Uint16(e.Key[4+n:])),
			Count:    e.Counter.Packets,
		})
	}
	return all, nil
}

// why says why a packet of protocol to port at a was refused.
func (r *ruleset) why(protocol byte, a netip.Addr, port uint16) string {
	beyond := slices.ContainsFunc(r.unroutable(), func(p netip.Prefix) bool { return p.Contains(a) })
	switch {
	case r.Hermetic:
		return whyHermetic
	case protocol == unix.IPPROTO_UDP && port == quicPort:
		return whyQUIC
	case protocol == unix.IPPROTO_UDP && (len(r.Pass) == 0 || r.relays() && !beyond):
		return whyDatagram
	}
	return whyLane
}
