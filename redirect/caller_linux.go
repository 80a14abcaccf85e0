package redirect

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/exchange"
)

// callers finds whose connections are, where no hook of ours was asked: the
// socket by sock_diag(7), its process by the descriptors in /proc. It is safe
// for concurrent use.
type callers struct {
	diag    *diag        // of the network namespace that the target is in
	targets func() []int // the processes of the target

	mu     sync.Mutex
	recent []int // who called last, first: most calls come from one process
}

// maxRecent is how many callers are looked at before the whole target is.
const maxRecent = 4

// find returns who has the TCP socket that is connected from client to dst.
// What cannot be told is zero: a client that closed its socket, or is not of
// the target.
func (c *callers) find(client, dst netip.AddrPort) exchange.Caller {
	s, uid, err := c.diag.connection(client, dst)
	if err != nil || s.inode == 0 {
		return exchange.Caller{}
	}
	caller := exchange.Caller{UID: uid, Cgroup: s.cgroup}
	if caller.PID = c.owner(s.inode); caller.PID != 0 {
		caller.Command = commandName(caller.PID)
	}
	return caller
}

// owner is the process of the target that has the socket inode open, 0 if none
// has any more.
func (c *callers) owner(inode uint32) int {
	c.mu.Lock()
	recent := slices.Clone(c.recent)
	c.mu.Unlock()
	found := firstWith(recent, inode)
	if found == 0 {
		found = firstWith(c.targets(), inode)
	}
	if found == 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent = slices.DeleteFunc(c.recent, func(pid int) bool { return pid == found })
	c.recent = slices.Insert(c.recent, 0, found)
	c.recent = c.recent[:min(len(c.recent), maxRecent)]
	return found
}

// firstWith is the first of pids that has the socket inode open.
func firstWith(pids []int, inode uint32) int {
	for _, pid := range pids {
		has := false
		socketsOf(pid, func(_ string, i uint32) { has = has || i == inode })
		if has {
			return pid
		}
	}
	return 0
}

// connection returns the TCP socket connected from local to remote, and whose it is.
func (d *diag) connection(local, remote netip.AddrPort) (s inetSocket, uid int, err error) {
	family := uint8(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	b := make([]byte, 0, 56)                            // struct inet_diag_req_v2
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)       // no extensions
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0)) // any state
	b = binary.BigEndian.AppendUint16(b, local.Port())  // struct inet_diag_sockid
	b = binary.BigEndian.AppendUint16(b, remote.Port()) //
	b = append(b, padded(local.Addr())...)              //
	b = append(b, padded(remote.Addr())...)             //
	b = binary.NativeEndian.AppendUint32(b, 0)          // any interface
	b = binary.NativeEndian.AppendUint64(b, ^uint64(0)) // INET_DIAG_NOCOOKIE
	d.mu.Lock()
	defer d.mu.Unlock()
	err = ask(d.fd, diagRequest(b), func(m []byte) {
		const uidAt = 64 // idiag_uid
		var ok bool
		if s, ok = parseInet(m); ok {
			uid = int(binary.NativeEndian.Uint32(m[uidAt:]))
		}
	})
	if errors.Is(err, unix.ENOENT) {
		err = os.ErrNotExist
	}
	return s, uid, err
}

// diagRequest is req for one socket as sock_diag takes it.
func diagRequest(req []byte) []byte {
	const byFamily = 20 // SOCK_DIAG_BY_FAMILY
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(req)))
	m = binary.NativeEndian.AppendUint16(m, byFamily)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST)
	m = append(m, make([]byte, 8)...) // sequence and sender
	return append(m, req...)
}

// padded is a in the 16 octets that sock_diag has for either family.
func padded(a netip.Addr) []byte {
	return append(a.AsSlice(), make([]byte, 16-a.BitLen()/8)...)
}
