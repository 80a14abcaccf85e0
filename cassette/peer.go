package cassette

import (
	"net/netip"
)

// zero says whether nothing is known of p.
func (p Peer) zero() bool { return !p.Addr.IsValid() && p.PID == 0 && p.Command == "" }

func (p Peer) node() *node {
	n := &node{kind: '{'}
	if p.Addr.IsValid() {
		n.add("address", strNode(p.Addr.String()))
	}
	if p.PID != 0 {
		n.add("pid", intNode(p.PID))
	}
	return n.addString("command", valid(p.Command))
}

func readPeer(n *node) Peer {
	p := Peer{PID: int(n.number("pid")), Command: n.text("command")}
	p.Addr, _ = netip.ParseAddrPort(n.text("address"))
	return p
}
