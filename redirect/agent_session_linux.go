package redirect

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// agentHooks are programs that a session loaded.
type agentHooks interface {
	hooks
	FDs() []int
	AttachForLife(cgroup *os.File) error
}

// agentKernel is what a session needs of the kernel beside its hooks.
type agentKernel interface {
	load(c bpf.Config) (agentHooks, error)
	// place is the function of that name.
	place(p peer, pidfd int, attach func(*os.File) error) (string, error)
	kill(cgroup string) error
	remove(cgroup string) error
}

// A session is one client, from its first request to its last. It knows no
// sockets. Every error is the last thing that happens in it, before close.
type session struct {
	peer   peer
	kernel agentKernel
	hooks  agentHooks // after open
	cgroup string     // after place, and before end
	placed bool
}

// errOrder is wrapped where a request comes out of turn.
var errOrder = fmt.Errorf("%w of this moment", errRequest)

// answer does what q asks, with the descriptors that came beside it, which stay
// the caller's. It returns the reply, and the descriptors that go beside that,
// which stay the session's.
func (s *session) answer(q request, fds []int) (reply, []int, error) {
	r := reply{Version: agentVersion}
	var beside []int
	var err error
	switch {
	case q.Ask == askOpen:
		beside, err = s.open(*q.Target, fds)
	case len(fds) > 0 && q.Ask != askPlace:
		err = fmt.Errorf("%w: descriptors beside %s", errRequest, q.Ask)
	case s.hooks == nil:
		err = fmt.Errorf("%w: %s before open", errOrder, q.Ask)
	case q.Ask == askPlace:
		r.Cgroup, err = s.place(fds)
	case q.Ask == askOriginal:
		r.Origin, r.Found, err = s.hooks.Original(q.Client, q.Listener)
	case q.Ask == askQueried:
		r.Server, r.Found, err = s.hooks.Queried(q.At)
	case q.Ask == askEscapes:
		r.Escapes, err = s.hooks.Escapes()
	case q.Ask == askTalks:
		r.Talks, err = s.hooks.Talks()
	case q.Ask == askKill && s.cgroup != "":
		err = s.kernel.kill(s.cgroup)
	case q.Ask == askEnd:
		err = s.end()
	default:
		err = fmt.Errorf("%w: %s before place", errOrder, q.Ask)
	}
	return r, beside, err
}

// open loads hooks for t that divert to sockets, and returns their maps.
func (s *session) open(t agentTarget, sockets []int) ([]int, error) {
	if s.hooks != nil {
		return nil, fmt.Errorf("%w: a second open", errOrder)
	}
	c, err := t.config(sockets)
	if err != nil {
		return nil, err
	}
	h, err := s.kernel.load(c)
	if err != nil {
		return nil, err
	}
	s.hooks = h
	return h.FDs(), nil
}

// place puts the init behind the one descriptor of fds into a cgroup.
func (s *session) place(fds []int) (path string, err error) {
	switch {
	case len(fds) != 1:
		return "", fmt.Errorf("%w: place with %d descriptors", errRequest, len(fds))
	case s.placed:
		return "", fmt.Errorf("%w: a second place", errOrder)
	}
	s.placed = true
	s.cgroup, err = s.kernel.place(s.peer, fds[0], s.hooks.AttachForLife)
	return s.cgroup, err
}

// end kills what is in the session's cgroup and removes it.
func (s *session) end() error {
	if s.cgroup == "" {
		return nil
	}
	path := s.cgroup
	s.cgroup = ""
	return s.kernel.remove(path)
}

// close undoes all that the session did.
func (s *session) close() error {
	err := s.end()
	if s.hooks != nil {
		err = errors.Join(err, s.hooks.Close())
		s.hooks = nil
	}
	return err
}

// leave forgets what the session did, but for the copies of descriptors: a run in
// force goes on without us.
func (s *session) leave() error {
	s.cgroup = ""
	return s.close()
}

// config is what hooks are to know: t, and the ports of sockets, which are those
// of a lane.
func (t agentTarget) config(sockets []int) (bpf.Config, error) {
	c := bpf.Config{Probe: t.Probe, Except: t.Except, Loopback: t.Loopback, Resolvers: t.Resolvers, Hermetic: t.Hermetic, QUIC: t.QUIC,
		Pass: t.Pass, Pinned: t.Pinned, Source4: t.Source4, Source6: t.Source6}
	if len(sockets) > maxSockets {
		return c, fmt.Errorf("%w: %d sockets; at most %d", errRequest, len(sockets), maxSockets)
	}
	six := 0
	for _, fd := range sockets {
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil {
			return c, fmt.Errorf("%w: what was passed is no socket: %w", errRequest, err)
		}
		at, err := unix.Getsockname(fd)
		if err != nil {
			return c, fmt.Errorf("%w: socket without a name: %w", errRequest, err)
		}
		in4, is4 := at.(*unix.SockaddrInet4)
		in6, is6 := at.(*unix.SockaddrInet6)
		var to *uint16
		port := 0
		switch {
		case is4 && kind == unix.SOCK_STREAM:
			to, port = &c.Listener4, in4.Port
			c.Network = networkOf(fd)
		case is4 && kind == unix.SOCK_DGRAM:
			to, port = &c.Packets4, in4.Port
		case is6 && kind == unix.SOCK_STREAM:
			to, port = &c.Listener6, in6.Port
		case is6 && kind == unix.SOCK_DGRAM && six < bpf.Slots:
			to, port = &c.Packets6[six], in6.Port
			six++
		}
		if to == nil || *to != 0 || port == 0 {
			return c, fmt.Errorf("%w: a socket that no lane has", errRequest)
		}
		*to = uint16(port)
	}
	if c.Listener4 == 0 || c.Packets4 == 0 {
		return c, fmt.Errorf("%w: open without sockets", errRequest)
	}
	return c, nil
}
