package redirect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/exchange"
)

// What of nfnetlink_log is used: include/uapi/linux/netfilter/nfnetlink_log.h.
const (
	logPacket = unix.NFNL_SUBSYS_ULOG << 8   // NFULNL_MSG_PACKET
	logConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1 // NFULNL_MSG_CONFIG
	logBind   = 1                            // NFULNL_CFG_CMD_BIND
	logCopy   = 2                            // NFULNL_COPY_PACKET
	logHeader = 160                          // octets of a packet that are copied: the longest IPv4 header, or some of IPv6's
	logBuffer = 4 << 20                      // octets: some 10000 packets that we have not read yet

	// logTries is how many groups are tried: each run has one.
	logTries = 256

	logCfgCmd, logCfgMode, logCfgThreshold = 1, 2, 5 // NFULA_CFG_*
	logPayload, logPrefix                  = 9, 10   // NFULA_*
)

// A noted is what packets that rules log have in common.
type noted struct {
	protocol uint8
	dst      netip.AddrPort // port 0 where the protocol has none
	why      string
	pid      int // who sent them, 0 if that cannot be told
}

// A conversation is of one socket's datagrams with one destination.
type conversation struct{ src, dst netip.AddrPort }

// maxConversations is of how many it is known who has them. Beyond that all is
// forgotten.
const maxConversations = 4096

// A packetLog counts the packets that rules log to its NFLOG group. It needs
// CAP_NET_ADMIN. It is safe for concurrent use.
type packetLog struct {
	group uint16
	file  *os.File // netlink, non-blocking
	// sender tells who has the UDP socket at src; nil: nobody is asked. It is set
	// before serve.
	sender func(src, dst netip.AddrPort) exchange.Caller

	mu      sync.Mutex
	counts  map[noted]uint64
	names   map[int]string       // of processes, when they were found
	senders map[conversation]int // pids
	buffer  []byte
	lost    bool // the kernel had more than the buffer takes
}

// openLog opens one, on the first group from the one given that nobody reads,
// in the calling thread's network namespace.
func openLog(first uint16) (*packetLog, error) {
	fd, err := openNetfilter()
	if err != nil {
		return nil, fmt.Errorf("nflog: %w", err)
	}
	// An acknowledgement is waited for; packets are not.
	for group := max(first, 1); ; group = max(group+1, 1) {
		err = bindLog(fd, group)
		if err == nil {
			l := &packetLog{group: group, counts: make(map[noted]uint64), names: make(map[int]string), buffer: make([]byte, 64<<10)}
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, logBuffer)
			if err = unix.SetNonblock(fd, true); err == nil {
				l.file = os.NewFile(uintptr(fd), "nflog")
				return l, nil
			}
		}
		if !errors.Is(err, unix.EBUSY) || group == first+logTries {
			return nil, errors.Join(fmt.Errorf("nflog: %w", err), unix.Close(fd))
		}
	}
}

// bindLog has what is logged to group sent to fd, each packet at once.
func bindLog(fd int, group uint16) error {
	attributes := appendAttribute(nil, logCfgCmd, logBind)
	mode := append(binary.BigEndian.AppendUint32(nil, logHeader), logCopy, 0)
	attributes = appendAttribute(attributes, logCfgMode, mode...)
	attributes = appendAttribute(attributes, logCfgThreshold, binary.BigEndian.AppendUint32(nil, 1)...)
	return ask(fd, netfilterRequest(logConfig, unix.NLM_F_ACK, unix.AF_UNSPEC, group, attributes), func([]byte) {})
}

// close ends serve and counts no more.
func (l *packetLog) close() error { return l.file.Close() }

// serve counts what comes until l is closed.
func (l *packetLog) serve() {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return
	}
	raw.Read(func(fd uintptr) bool {
		l.drain(int(fd))
		return false // wait for more
	})
}

// noted returns the counts so far, in no order: all that was sent before the
// call is in them. lost says that there was more.
func (l *packetLog) noted() (counts map[noted]uint64, lost bool) {
	if raw, err := l.file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { l.drain(int(fd)) })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	counts = make(map[noted]uint64, len(l.counts))
	for n, c := range l.counts {
		counts[n] = c
	}
	return counts, l.lost
}

// drain counts what there is to read.
func (l *packetLog) drain(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		n, _, err := unix.Recvfrom(fd, l.buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOBUFS):
			l.lost = true
		case err != nil:
			return
		default:
			eachMessage(l.buffer[:n], func(b []byte) {
				if p, src, ok := parseNote(b); ok {
					p.pid = l.senderOf(p, src)
					l.counts[p]++
				}
			})
		}
	}
}

// senderOf is the process that sent n from src, as far as that is asked for and
// known. mu is held.
func (l *packetLog) senderOf(n noted, src netip.AddrPort) int {
	if l.sender == nil || n.protocol != unix.IPPROTO_UDP || n.why == whyLocal || src.Port() == 0 {
		return 0
	}
	c := conversation{src, n.dst}
	if pid, ok := l.senders[c]; ok {
		return pid
	}
	who := l.sender(src, n.dst)
	if l.senders == nil || len(l.senders) >= maxConversations {
		l.senders = make(map[conversation]int)
	}
	l.senders[c] = who.PID
	if who.PID != 0 {
		l.names[who.PID] = who.Command
	}
	return who.PID
}

// nameOf is what the process pid was called when it sent something.
func (l *packetLog) nameOf(pid int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.names[pid]
}

// parseNote reads a message of NFLOG: what it is of, and where that comes from.
func parseNote(b []byte) (n noted, src netip.AddrPort, ok bool) {
	const nfgenmsg = 4
	if len(b) < nfgenmsg {
		return noted{}, src, false
	}
	eachAttribute(b[nfgenmsg:], func(kind uint16, v []byte) {
		switch kind {
		case logPrefix:
			n.why = string(bytes.TrimRight(v, "\x00"))
		case logPayload:
			n.protocol, n.dst, ok = parseDestination(v)
			src = parseSource(v, n)
		}
	})
	return n, src, ok
}

// parseSource reads where the IP packet of n, which has a port, comes from. The
// zero AddrPort is for what has none.
func parseSource(b []byte, n noted) netip.AddrPort {
	if n.dst.Port() == 0 {
		return netip.AddrPort{}
	}
	if b[0]>>4 == 4 {
		at := int(b[0]&15) * 4
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), binary.BigEndian.Uint16(b[at:]))
	}
	_, at := skipExtensions(b[6], b, 40)
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(b[at:]))
}

// parseDestination reads where an IP packet goes and what is in it. A fragment
// but the first has no port, nor has one whose headers are cut off.
func parseDestination(b []byte) (protocol uint8, dst netip.AddrPort, ok bool) {
	if len(b) == 0 {
		return 0, dst, false
	}
	switch b[0] >> 4 {
	case 4:
		const size = 20
		if len(b) < size {
			return 0, dst, false
		}
		a := netip.AddrFrom4([4]byte(b[16:20]))
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return b[9], netip.AddrPortFrom(a, 0), true
		}
		return b[9], netip.AddrPortFrom(a, portOf(b[9], b, int(b[0]&15)*4)), true
	case 6:
		const size = 40
		if len(b) < size {
			return 0, dst, false
		}
		protocol, at := skipExtensions(b[6], b, size)
		return protocol, netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), portOf(protocol, b, at)), true
	}
	return 0, dst, false
}

// skipExtensions goes from the IPv6 header at in b, of the kind next, to the
// first that is no extension: RFC 8200, section 4. A fragment but the first is
// left with at beyond b.
func skipExtensions(next uint8, b []byte, at int) (protocol uint8, to int) {
	for at+8 <= len(b) {
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			next, at = b[at], at+8+int(b[at+1])*8
		case unix.IPPROTO_FRAGMENT:
			if binary.BigEndian.Uint16(b[at+2:])&0xfff8 != 0 {
				return b[at], len(b)
			}
			next, at = b[at], at+8
		default:
			return next, at
		}
	}
	return next, at
}

// portOf is the destination port in the header at in b, if protocol has one.
func portOf(protocol uint8, b []byte, at int) uint16 {
	ported := []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP, unix.IPPROTO_UDPLITE, unix.IPPROTO_DCCP}
	if !slices.Contains(ported, protocol) || at+4 > len(b) {
		return 0
	}
	return binary.BigEndian.Uint16(b[at+2:])
}
