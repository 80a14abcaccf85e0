package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A diag asks the kernel which sockets there are, sock_diag(7), in the network
// namespace that it was opened in. It needs no privilege. It is safe for
// concurrent use.
type diag struct {
	fd int

	mu sync.Mutex // held over a question and its answer
}

// diagPatience is how long the kernel may take for one part of an answer,
// which it makes while we read: it is there at once, or never.
var diagPatience = unix.Timeval{Sec: 2}

// openDiag opens one in the calling thread's network namespace.
func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &diagPatience); err != nil {
		return nil, errors.Join(fmt.Errorf("sock_diag: %w", err), unix.Close(fd))
	}
	return &diag{fd: fd}, nil
}

// close frees d, and has later questions fail. It is called once.
func (d *diag) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	fd := d.fd
	d.fd = -1
	return unix.Close(fd)
}

// An inetSocket is a TCP or UDP socket.
type inetSocket struct {
	local, remote netip.AddrPort // IPv4 as such; a zero remote port: it is not connected
	inode         uint32
	cgroup        uint64 // the id of the cgroup v2 it was made in; 0 before Linux 5.7
}

// inet returns the sockets of protocol, IPPROTO_TCP or IPPROTO_UDP, in states:
// bits 1<<n of enum tcp_states, include/net/tcp_states.h. What is open on a UDP
// port and not connected is in the state of TCP_CLOSE.
func (d *diag) inet(protocol uint8, states uint32) ([]inetSocket, error) {
	var all []inetSocket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := make([]byte, 56) // struct inet_diag_req_v2
		req[0], req[1] = family, protocol
		binary.NativeEndian.PutUint32(req[4:], states)
		err := d.dump(req, func(b []byte) {
			if s, ok := parseInet(b); ok {
				all = append(all, s)
			}
		})
		if err != nil && !errors.Is(err, unix.ENOENT) { // there is no such family, or no module
			return all, fmt.Errorf("sock_diag: protocol %d: %w", protocol, err)
		}
	}
	return all, nil
}

// parseInet reads a struct inet_diag_msg and its attributes.
func parseInet(b []byte) (inetSocket, bool) {
	const size, cgroupID = 72, 21 // INET_DIAG_CGROUP_ID
	if len(b) < size {
		return inetSocket{}, false
	}
	addr := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
		return netip.AddrFrom16([16]byte(b[at : at+16])).Unmap()
	}
	s := inetSocket{
		local:  netip.AddrPortFrom(addr(8), binary.BigEndian.Uint16(b[4:])),
		remote: netip.AddrPortFrom(addr(24), binary.BigEndian.Uint16(b[6:])),
		inode:  binary.NativeEndian.Uint32(b[68:]),
	}
	eachAttribute(b[size:], func(kind uint16, value []byte) {
		if kind == cgroupID && len(value) == 8 {
			s.cgroup = binary.NativeEndian.Uint64(value)
		}
	})
	return s, true
}

// A unixSocket is a unix socket.
type unixSocket struct {
	inode, peer uint32 // peer is 0 if it has none
	listens     bool
	path        string // what it is bound to: "" if nothing, "@" begins an abstract name
}

// unix returns the unix sockets that listen, are connected, or are datagram sockets.
func (d *diag) unix() ([]unixSocket, error) {
	const show = 1<<0 | 1<<2 // UDIAG_SHOW_NAME, UDIAG_SHOW_PEER
	req := make([]byte, 24)  // struct unix_diag_req
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0))
	binary.NativeEndian.PutUint32(req[12:], show)
	var all []unixSocket
	err := d.dump(req, func(b []byte) {
		if s, ok := parseUnix(b); ok {
			all = append(all, s)
		}
	})
	if err != nil {
		return all, fmt.Errorf("sock_diag: unix: %w", err)
	}
	return all, nil
}

// parseUnix reads a struct unix_diag_msg and its attributes.
func parseUnix(b []byte) (unixSocket, bool) {
	const size, name, peer = 16, 0, 2 // UNIX_DIAG_NAME, UNIX_DIAG_PEER
	const listen = 10                 // TCP_LISTEN
	if len(b) < size {
		return unixSocket{}, false
	}
	s := unixSocket{inode: binary.NativeEndian.Uint32(b[4:]), listens: b[2] == listen}
	eachAttribute(b[size:], func(kind uint16, value []byte) {
		switch {
		case kind == name && len(value) > 0 && value[0] == 0:
			s.path = "@" + string(value[1:])
		case kind == name:
			s.path = strings.TrimRight(string(value), "\x00")
		case kind == peer && len(value) == 4:
			s.peer = binary.NativeEndian.Uint32(value)
		}
	})
	return s, true
}

// eachAttribute calls f for each netlink attribute in b, until one is cut off.
func eachAttribute(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:n])
		b = b[min((n+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(b)):]
	}
}

// dump asks for all sockets that req, of some family, describes, and calls each
// for every answer, which is valid until each returns.
func (d *diag) dump(req []byte, each func([]byte)) error { return d.ask(req, unix.NLM_F_DUMP, each) }

// ask is dump, or with no flags asks for the one socket that req names.
func (d *diag) ask(req []byte, flags uint16, each func([]byte)) error {
	const byFamily = 20 // SOCK_DIAG_BY_FAMILY
	d.mu.Lock()
	defer d.mu.Unlock()
	m := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(req))
	binary.NativeEndian.PutUint32(m, uint32(cap(m)))
	binary.NativeEndian.PutUint16(m[4:], byFamily)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST|flags)
	if err := unix.Sendto(d.fd, append(m, req...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	b := make([]byte, 32<<10) // the most that one part of an answer has: netlink_dump, net/netlink/af_netlink.c
	for {
		n, _, err := unix.Recvfrom(d.fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if done, err := eachMessage(b[:n], each); done || err != nil || flags == 0 {
			return err
		}
	}
}

// eachMessage calls each for what the netlink messages in b carry, and says
// whether the last has been.
func eachMessage(b []byte, each func([]byte)) (done bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return false, errors.New("a netlink message is cut off")
		}
		payload := b[unix.NLMSG_HDRLEN:n]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(payload) < 4 {
				return false, errors.New("a netlink error is cut off")
			}
			return true, unix.Errno(-int32(binary.NativeEndian.Uint32(payload)))
		default:
			each(payload)
		}
		b = b[min((n+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
	}
	return false, nil
}

// socketsOf calls f for each socket that the process pid has open; for none if
// we may not look.
func socketsOf(pid int, f func(fd string, inode uint32)) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if inode, ok := socketInode(dir + name); ok {
			f(dir+name, inode)
		}
	}
}

// socketInode returns the inode of the socket that the descriptor at path is
// open on: proc_pid_fd(5).
func socketInode(path string) (uint32, bool) {
	to, err := os.Readlink(path)
	if err != nil {
		return 0, false
	}
	number, ok := strings.CutPrefix(to, "socket:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
	return uint32(inode), err == nil
}

// socketOwner returns the process that has the socket inode open: the oldest,
// as its children may have it too. It returns 0 if there is none that we may
// look at.
func socketOwner(inode uint32) int {
	owner := 0
	for _, pid := range allProcesses() {
		socketsOf(pid, func(_ string, i uint32) {
			if i == inode && owner == 0 {
				owner = pid
			}
		})
		if owner != 0 {
			break
		}
	}
	return owner
}

// allProcesses are the ids of the processes that /proc shows, ascending.
func allProcesses() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
