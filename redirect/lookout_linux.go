package redirect

import (
	"bytes"
	"cmp"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A lookout watches whom on this host, outside of itself, a target talks to. It
// looks again and again while the target runs, because a socket tells whom it
// is connected to only while it is: what is over between two looks is missed,
// but for what the lane counts.
//
// One goroutine has all its state; the others ask it.
type lookout struct {
	diag    *diag                  // of our network namespace
	inside  *diag                  // of the target's
	members func() []int           // the target's processes
	talks   func() ([]talk, error) // what the lane counted on loopback

	asked chan chan outlook
	stop  chan struct{}
	done  chan struct{}
	last  outlook // once done is closed

	found map[spot]*Local
	own   map[spot]struct{}   // where the target itself was seen to listen
	old   map[uint32]struct{} // inodes of connected unix and vsock sockets that were looked at
}

// A talk is a loopback destination that the target talked to, as a lane
// counted it, and that was not answered by the target itself.
type talk struct {
	protocol uint8 // IPPROTO_TCP or IPPROTO_UDP
	dst      netip.AddrPort
	count    uint64
	// answered says that the connections were made. Where a lane cannot tell
	// them from refused ones, nobody is supposed where nobody listens any more.
	answered bool
}

// A spot is where a Local is.
type spot struct {
	network string
	dst     netip.AddrPort
	path    string
}

// An outlook is what local returns.
type outlook struct {
	all []Local
	err error
}

const (
	// lookoutShare bounds what looking costs: a look that takes a millisecond
	// of CPU is followed by a pause of lookoutShare milliseconds.
	lookoutShare = 50
	// shortestPause is that after a look which takes no time.
	shortestPause = 20 * time.Millisecond
	// longestPause is that on a machine with a hundred thousand sockets.
	longestPause = time.Second
)

// newLookout starts one. It is ended by close. inside is of the target's network
// namespace and stays the caller's; nil means that it is ours. Both ends of a
// connection of unix sockets are listed there, as the kernel makes the
// server's in the client's namespace (unix_stream_connect, net/unix/af_unix.c).
func newLookout(inside *diag, members func() []int, talks func() ([]talk, error)) (*lookout, error) {
	d, err := openDiag()
	if err != nil {
		return nil, err
	}
	l := &lookout{
		diag: d, inside: inside, members: members, talks: talks,
		asked: make(chan chan outlook), stop: make(chan struct{}), done: make(chan struct{}),
		found: make(map[spot]*Local), own: make(map[spot]struct{}), old: make(map[uint32]struct{}),
	}
	if inside == nil {
		l.inside = d
	}
	// What is connected before there is a target is not the target's.
	sockets, err := l.inside.unix()
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	for _, s := range sockets {
		l.old[s.inode], l.old[s.peer] = struct{}{}, struct{}{}
	}
	go l.watch()
	return l, nil
}

// watch looks until close.
func (l *lookout) watch() {
	defer close(l.done)
	runtime.LockOSThread() // whose CPU time it is
	defer runtime.UnlockOSThread()
	pause := time.NewTimer(shortestPause)
	defer pause.Stop()
	for {
		var reply chan outlook
		select {
		case <-pause.C:
		case reply = <-l.asked:
		case <-l.stop:
			l.last = l.look()
			return
		}
		start := threadTime()
		seen := l.look()
		if reply != nil {
			reply <- seen
		}
		pause.Reset(min(max(lookoutShare*(threadTime()-start), shortestPause), longestPause))
	}
}

// threadTime is the CPU time that the calling thread has taken so far. What
// waits for a busy machine takes none.
func threadTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// local looks, and returns what was seen so far.
func (l *lookout) local() ([]Local, error) {
	reply := make(chan outlook)
	select {
	case l.asked <- reply:
		seen := <-reply
		return seen.all, seen.err
	case <-l.done:
		return l.last.all, l.last.err
	}
}

// close looks a last time and ends the watch. It is called once.
func (l *lookout) close() error {
	close(l.stop)
	<-l.done
	return l.diag.close()
}

// look looks once.
func (l *lookout) look() outlook {
	mine := l.sockets()
	err := errors.Join(l.lookLoopback(mine), l.lookUnix(mine))
	for inode, s := range mine {
		if _, ok := l.old[inode]; !ok && s.vsock {
			l.see(spot{network: "vsock"}, 0, 1)
			l.old[inode] = struct{}{}
		}
	}
	o := outlook{err: err}
	for _, f := range l.found {
		if f.PID != os.Getpid() { // to us it gets by other ways than this too
			o.all = append(o.all, *f)
		}
	}
	slices.SortFunc(o.all, func(a, b Local) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), a.Dst.Compare(b.Dst), cmp.Compare(a.Path, b.Path))
	})
	return o
}

// A member is a socket of the target.
type member struct{ vsock bool }

// sockets are the target's, by inode.
func (l *lookout) sockets() map[uint32]member {
	all := make(map[uint32]member)
	vsock := hasVsock()
	for _, pid := range l.members() {
		socketsOf(pid, func(fd string, inode uint32) {
			m := member{}
			if vsock {
				m.vsock = protocolOf(fd) == "AF_VSOCK"
			}
			all[inode] = m
		})
	}
	return all
}

// hasVsock says whether this kernel has loaded AF_VSOCK.
func hasVsock() bool {
	b, _ := os.ReadFile("/proc/net/protocols")
	return bytes.Contains(b, []byte("AF_VSOCK "))
}

// protocolOf is the kernel's name of the protocol of the socket whose link in
// /proc is fd: lsof(8) tells sockets apart by it. "" if we may not look.
func protocolOf(fd string) string {
	b := make([]byte, 32) // PROTO's name has 32 bytes: include/net/sock.h
	n, err := unix.Getxattr(fd, "system.sockprotoname", b)
	if err != nil {
		return ""
	}
	return string(bytes.TrimRight(b[:n], "\x00"))
}

// lookLoopback finds who answers what the lane counted.
func (l *lookout) lookLoopback(mine map[uint32]member) error {
	talks, err := l.talks()
	var errs []error
	listening := make(map[uint8][]inetSocket)
	for _, t := range talks {
		at := spot{network: networkName(t.protocol), dst: t.dst}
		if f := l.found[at]; f != nil && f.Count == t.count && f.PID != 0 {
			continue
		}
		if listening[t.protocol] == nil {
			const states = 1<<7 | 1<<10 // TCP_CLOSE, which open UDP sockets are in, and TCP_LISTEN
			sockets, err := l.diag.inet(t.protocol, states)
			errs = append(errs, err)
			listening[t.protocol] = append(sockets, inetSocket{}) // not asked for again
		}
		s, ok := answers(listening[t.protocol], t.dst)
		if _, inside := mine[s.inode]; inside {
			l.own[at] = struct{}{}
		}
		_, inside := l.own[at]
		switch {
		case ok && !inside:
			l.see(at, socketOwner(s.inode), t.count)
		case !ok && !inside && t.answered:
			// Gone by now. Datagrams need nobody: libc connects UDP sockets just
			// to learn a source address.
			l.see(at, 0, t.count)
		}
	}
	return errors.Join(append(errs, err)...)
}

// answers is which of sockets gets what is sent to dst: the one bound to that
// address before one bound to all.
func answers(sockets []inetSocket, dst netip.AddrPort) (inetSocket, bool) {
	var wild inetSocket
	for _, s := range sockets {
		switch a := s.local.Addr(); {
		case s.local.Port() != dst.Port() || s.remote.Port() != 0 || !a.IsValid():
		case a == dst.Addr():
			return s, true
		case a.IsUnspecified() && (a.Is6() || dst.Addr().Is4()):
			wild = s
		}
	}
	return wild, wild.local.IsValid()
}

// networkName is the Local.Network of an IP protocol.
func networkName(protocol uint8) string {
	if protocol == unix.IPPROTO_UDP {
		return "udp"
	}
	return "tcp"
}

// lookUnix finds the unix sockets that the target is connected to: the server's
// end of a connection has the listener's name. The client's end is listed only
// where it is in our network namespace; the server's is all the same.
func (l *lookout) lookUnix(mine map[uint32]member) error {
	sockets, err := l.inside.unix()
	if err != nil {
		return err
	}
	byInode := make(map[uint32]unixSocket, len(sockets))
	for _, s := range sockets {
		byInode[s.inode] = s
	}
	for _, s := range sockets {
		if s.path == "" {
			l.meet(mine, s.inode, byInode[s.peer])
		} else {
			l.meet(mine, s.peer, s)
		}
	}
	return nil
}

// meet keeps that client, if it is the target's and new, talks to server, which
// is not.
func (l *lookout) meet(mine map[uint32]member, client uint32, server unixSocket) {
	_, ours := mine[client]
	_, known := l.old[client]
	if !ours || known || server.path == "" {
		return
	}
	l.old[client] = struct{}{}
	if _, inside := mine[server.inode]; !inside {
		l.see(spot{network: "unix", path: server.path}, socketOwner(server.inode), 1)
	}
}

// see keeps that the target talked count times, or once more on a unix socket
// or vsock, to who is at at: the process pid, 0 if it is not known.
func (l *lookout) see(at spot, pid int, count uint64) {
	f := l.found[at]
	if f == nil {
		f = &Local{Network: at.network, Dst: at.dst, Path: at.path}
		l.found[at] = f
	}
	if at.dst.IsValid() {
		f.Count = count
	} else {
		f.Count += count
	}
	r, ok := residentSocket("/" + at.path) // it may have been bound by a relative path
	if pid != 0 {
		f.PID, f.Process = pid, commandName(pid)
		// Work is handed over by connections. Datagrams are other things:
		// Gradle's ask for a lock on a file.
		if !ok && at.network != "udp" {
			r, ok = residentProcess(pid)
		}
	}
	if ok {
		f.Resident, f.Hint = r.name, r.hint
	}
}
