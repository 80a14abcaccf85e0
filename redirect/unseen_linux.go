package redirect

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// States of a TCP socket, include/net/tcp_states.h.
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpClose       = 7 // not connected yet, or no more
)

// A row is a socket in /proc/net: proc_net_tcp(5).
type row struct {
	peer  netip.AddrPort // port 0 if it is not connected
	state int
	inode uint32
}

// unseenOf lists what of sockets, those of each process before the hooks could
// see them made, is not diverted. The hooks see those of a cgroup when they
// connect anew, so that only connections count; with moved set every one that
// is not a listener does.
func unseenOf(sockets map[int]map[uint32]string, moved bool) []Unseen {
	var found []Unseen
	var rows map[uint32]row // all live in one network namespace
	known := make(map[uint32]bool)
	for pid, inodes := range sockets {
		if rows == nil && len(inodes) > 0 {
			rows = rowsOf(pid)
		}
		for inode, protocol := range inodes {
			// One that is in no table was neither bound nor connected yet.
			r, ok := rows[inode]
			if !ok {
				r.state = tcpClose
			}
			if known[inode] || !r.unseen(protocol, moved) {
				continue
			}
			known[inode] = true
			u := Unseen{Protocol: protocol, PID: pid, Command: commandName(pid)}
			if r.peer.Port() != 0 {
				u.Peer = r.peer
			}
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b Unseen) int {
		return cmp.Or(strings.Compare(a.Protocol, b.Protocol), a.Peer.Compare(b.Peer), cmp.Compare(a.PID, b.PID))
	})
	return found
}

// unseen says whether a socket may carry what we would divert of a new one. Of
// UDP that is DNS; of a socket that was moved QUIC too, which is not refused.
func (r row) unseen(protocol string, moved bool) bool {
	switch {
	case r.peer.Addr().IsLoopback() && r.peer.Port() != 53:
		return false // loopback is left alone, but for a resolver
	case r.peer.Port() == 0:
		return moved && r.state == tcpClose // also of a UDP socket that is not connected
	case protocol == "udp":
		return moved || r.peer.Port() == 53
	}
	return r.state == tcpEstablished || r.state == tcpSynSent
}

// inetSockets are the TCP and UDP sockets that pid has open, by inode: which of
// the two each is.
func inetSockets(pid int) map[uint32]string {
	sockets := make(map[uint32]string)
	socketsOf(pid, func(fd string, inode uint32) {
		switch protocolOf(fd) {
		case "TCP", "TCPv6", "MPTCP", "MPTCPv6":
			sockets[inode] = "tcp"
		case "UDP", "UDPv6":
			sockets[inode] = "udp"
		}
	})
	return sockets
}

// rowsOf is what the tables of pid's network namespace have, by inode.
func rowsOf(pid int) map[uint32]row {
	rows := make(map[uint32]row)
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // ended meanwhile, or no IPv6
		}
		for _, r := range parseSockets(b) {
			rows[r.inode] = r
		}
	}
	return rows
}

// parseSockets reads a table of /proc/net; what is no row is passed over.
func parseSockets(b []byte) []row {
	var rows []row
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 10 {
			continue
		}
		peer, ok := parsePeer(f[2])
		state, err := strconv.ParseUint(f[3], 16, 8)
		inode, err2 := strconv.ParseUint(f[9], 10, 32)
		if ok && err == nil && err2 == nil {
			rows = append(rows, row{peer: peer, state: int(state), inode: uint32(inode)})
		}
	}
	return rows
}

// parsePeer reads an address as /proc/net has it: words in this machine's order,
// in hexadecimal, then the port.
func parsePeer(s string) (netip.AddrPort, bool) {
	text, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(text)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for w := 0; w < len(b); w += 4 {
		binary.NativeEndian.PutUint32(b[w:], binary.BigEndian.Uint32(b[w:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}
