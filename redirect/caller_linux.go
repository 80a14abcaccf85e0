package redirect

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/exchange"
)

const (
	// rememberedProcesses is how many processes are looked at before all others.
	rememberedProcesses = 16
	// rememberedSockets is how many sockets are known before all are forgotten.
	rememberedSockets = 1 << 16
)

// callers tell whose a connection is. To look through the descriptors of one
// process takes 2 µs for each, so what one look shows is kept: a process that
// connects a thousand times at once is looked through a few times, and one that
// has a thousand connections and makes another not to the end, as the newest
// descriptor is mostly the highest.
type callers struct {
	diag *diag // of the network namespace that the target is in

	mu      sync.Mutex               // held over a search: another's may find ours
	members func(spared []int) []int // the target's processes but for spared; nil: it is not born yet
	recent  []int                    // pids that connected, the last one first
	sockets map[uint32]int           // pids by inode
}

// watch has callers be looked for among members, the processes of the target but
// for those spared.
func (c *callers) watch(members func(spared []int) []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members, c.recent, c.sockets = members, nil, nil
}

// find returns who of the target has the socket of protocol, IPPROTO_TCP or
// IPPROTO_UDP, that sends from client to dst. The PID is zero if that cannot be
// told: its descriptors may not be read, or it closed the socket by now.
func (c *callers) find(protocol uint8, client, dst netip.AddrPort) exchange.Caller {
	s, uid, err := c.diag.socket(protocol, client, dst)
	if err != nil || s.inode == 0 {
		return exchange.Caller{}
	}
	caller := exchange.Caller{UID: int(uid), Cgroup: s.cgroup}
	if pid, ok := c.holder(s.inode); ok {
		caller.PID, caller.Command = pid, commandName(pid)
	}
	return caller
}

// holder is a process of the target that has the socket inode.
func (c *callers) holder(inode uint32) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members == nil {
		return 0, false
	}
	if pid, ok := c.sockets[inode]; ok {
		return pid, true
	}
	if c.sockets == nil || len(c.sockets) > rememberedSockets {
		c.sockets = make(map[uint32]int)
	}
	for _, pids := range []func() []int{
		func() []int { return c.recent },
		func() []int { return c.members(c.recent) },
	} {
		for _, pid := range pids() {
			if c.has(pid, inode) {
				c.recent = slices.DeleteFunc(slices.Clone(c.recent), func(p int) bool { return p == pid })
				c.recent = slices.Insert(c.recent, 0, pid)
				c.recent = c.recent[:min(len(c.recent), rememberedProcesses)]
				return pid, true
			}
		}
	}
	return 0, false
}

// has says whether pid has the socket inode, and remembers what it sees until
// then. mu is held.
func (c *callers) has(pid int, inode uint32) bool {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // gone, or not ours to look at
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { // 10 is above 9
		return cmp.Or(cmp.Compare(len(b.Name()), len(a.Name())), strings.Compare(b.Name(), a.Name()))
	})
	for _, e := range entries {
		if i, ok := socketInode(dir + e.Name()); ok {
			c.sockets[i] = pid
			if i == inode {
				return true
			}
		}
	}
	return false
}

// socket returns the socket of protocol at local that remote's packets go to, and
// its owner's user id: of TCP it is connected.
func (d *diag) socket(protocol uint8, local, remote netip.AddrPort) (s inetSocket, uid uint32, err error) {
	if protocol == unix.IPPROTO_UDP { // which is asked for as a packet to it is: udp_dump_one, net/ipv4/udp_diag.c
		local, remote = remote, local
	}
	req := make([]byte, 56) // struct inet_diag_req_v2
	req[0], req[1] = family(local.Addr()), protocol
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0))
	binary.BigEndian.PutUint16(req[8:], local.Port())
	binary.BigEndian.PutUint16(req[10:], remote.Port())
	copy(req[12:28], local.Addr().AsSlice())
	copy(req[28:44], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint64(req[48:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	err = d.ask(req, 0, func(b []byte) {
		var ok bool
		if s, ok = parseInet(b); ok {
			uid = binary.NativeEndian.Uint32(b[64:])
		}
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		err = fmt.Errorf("sock_diag: %s to %s: %w", local, remote, err)
	}
	return s, uid, err
}
