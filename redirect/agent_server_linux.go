package redirect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

const (
	// openPatience is how long a client may take from its connection to a placed
	// init. It takes about 20 ms; init itself has birthPatience.
	openPatience = birthPatience
	// replyPatience is how long a client may take to read a reply.
	replyPatience = 5 * time.Second
	// maxClients is how many are served in all: each holds about 30 descriptors.
	maxClients = 512
)

// ListenAgent listens for clients of an agent at path, whose directory it makes
// if that is missing. Everybody may connect. A socket that a dead agent left there is replaced; if
// somebody listens there, the error says who.
func ListenAgent(path string) (*net.UnixListener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("redirect: agent: %w", err)
	}
	// Two agents that start at once must not both find a dead socket.
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("redirect: agent: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("redirect: agent: lock %s: %w", dir, err)
	}
	addr := &net.UnixAddr{Name: path, Net: "unixpacket"}
	if c, err := net.DialUnix("unixpacket", nil, addr); err == nil {
		defer c.Close()
		return nil, inUse(c, path)
	} else if errors.Is(err, unix.ECONNREFUSED) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("redirect: agent: %w", err)
		}
	}
	l, err := net.ListenUnix("unixpacket", addr)
	if err != nil {
		return nil, fmt.Errorf("redirect: agent: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("redirect: agent: %w", err), l.Close())
	}
	return l, nil
}

// inUse says who listens at the other end of c.
func inUse(c *net.UnixConn, path string) error {
	who := "another process"
	if p, err := peerOf(c); err == nil {
		who = fmt.Sprintf("process %d", p.pid)
	}
	return &HintError{
		Err:  fmt.Errorf("redirect: agent: %s is in use by %s", path, who),
		Hint: "one agent serves everybody: systemctl stop serge-net-agent.socket serge-net-agent, or give another --socket",
	}
}

// peerOf is who connected c, or listened: unix(7), SO_PEERCRED.
func peerOf(c *net.UnixConn) (peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		return peer{}, e
	}
	if err != nil {
		return peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	return peer{pid: int(cred.Pid), uid: int(cred.Uid)}, nil
}

// Serve serves clients until ctx ends, and then returns nil. Diversions in force
// then go on without an agent, until their clients end; the next agent removes
// what they leave. An error says why this process cannot be an agent.
func (a *Agent) Serve(ctx context.Context) error {
	defer a.Listener.Close()
	h, err := bpf.Load(bpf.Config{})
	if err != nil {
		return fmt.Errorf("redirect: agent: %w", loadError(err))
	}
	h.Close()
	root, _, err := mountedCgroup()
	if err != nil {
		return fmt.Errorf("redirect: agent: %w", err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	left := orphans(ctx, root, a.reaped)
	serving.Go(func() {
		if err := adopt(ctx, left, a.reaped); err != nil {
			a.Log.Error("stale cgroups stay", "error", err)
		}
	})
	defer context.AfterFunc(ctx, func() { a.Listener.Close() })()
	s := agentServer{agent: a, kernel: realKernel{}, count: make(map[int]int)}
	for {
		c, err := a.Listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("redirect: agent: accept: %w", err)
		}
		serving.Go(func() { s.serve(ctx, c) })
	}
}

// reaped tells of a cgroup that was left by an agent before us.
func (a *Agent) reaped(path string, err error) {
	if err != nil {
		a.Log.Error("stale cgroup stays", "cgroup", path, "error", err)
		return
	}
	a.Log.Info("stale cgroup removed", "cgroup", path)
}

// realKernel is the one we run on.
type realKernel struct{}

func (realKernel) load(c bpf.Config) (agentHooks, error) { return loadHooks(c) }

func (realKernel) place(p peer, pidfd int, attach func(*os.File) error) (string, error) {
	return place(p, pidfd, attach)
}

func (realKernel) kill(cgroup string) error { return kill(cgroup) }

func (realKernel) remove(cgroup string) error { return removeCgroup(context.Background(), cgroup) }

// agentServer is an Agent that serves.
type agentServer struct {
	agent  *Agent
	kernel agentKernel

	mu    sync.Mutex
	total int
	count map[int]int // of clients by uid
}

// admit counts a client of uid in, unless there are too many.
func (s *agentServer) admit(uid int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.agent.perUser(); uid != 0 && s.count[uid] >= limit {
		return &HintError{Err: fmt.Errorf("user %d has as many runs as are served, %d", uid, limit), Hint: "end one of them, or wait for it"}
	}
	if s.total >= maxClients {
		return fmt.Errorf("there are as many runs as are served, %d", s.total)
	}
	s.total++
	s.count[uid]++
	return nil
}

// dismiss counts a client of uid out.
func (s *agentServer) dismiss(uid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.count[uid]--; s.count[uid] == 0 {
		delete(s.count, uid)
	}
}

// serve owns c, a client, until it hangs up, errs, or ctx ends.
func (s *agentServer) serve(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	p, err := peerOf(c)
	if err != nil {
		return // it is gone
	}
	log := s.agent.Log.With("uid", p.uid, "pid", p.pid)
	if err := s.admit(p.uid); err != nil {
		log.Warn("refused", "error", err)
		c.SetWriteDeadline(time.Now().Add(replyPatience))
		writePacket(c, refusal(err), nil)
		return
	}
	defer s.dismiss(p.uid)
	begun := &session{peer: p, kernel: s.kernel}
	err = s.converse(ctx, c, begun)
	cgroup := begun.cgroup
	undo := begun.close
	if ctx.Err() != nil {
		undo = begun.leave
	}
	switch undone := undo(); {
	case undone != nil:
		log.Error("not undone", "cgroup", cgroup, "error", undone)
	case err != nil && ctx.Err() == nil:
		log.Warn("refused", "error", err)
	case begun.placed:
		log.Info("ended")
	}
}

// converse answers c's requests. It returns nil when c hangs up.
func (s *agentServer) converse(ctx context.Context, c *net.UnixConn, begun *session) error {
	c.SetReadDeadline(time.Now().Add(openPatience))
	buffer := make([]byte, maxRequest)
	for ctx.Err() == nil {
		b, fds, err := readPacket(c, buffer)
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			return nil
		}
		var r reply
		var beside []int
		if err == nil {
			r, beside, err = s.answer(c, begun, b, fds)
		}
		closeAll(fds)
		if err != nil {
			r = refusal(err)
		}
		c.SetWriteDeadline(time.Now().Add(replyPatience))
		if e := writePacket(c, r, beside); e != nil && !errors.Is(e, unix.EPIPE) && err == nil {
			err = fmt.Errorf("reply: %w", e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answer parses and answers one request.
func (s *agentServer) answer(c *net.UnixConn, begun *session, b []byte, fds []int) (reply, []int, error) {
	q, err := parseRequest(b)
	if err != nil {
		return reply{}, nil, err
	}
	r, beside, err := begun.answer(q, fds)
	if err == nil && q.Ask == askPlace {
		c.SetReadDeadline(time.Time{}) // a run may last
		s.agent.Log.Info("diverted", "uid", begun.peer.uid, "pid", begun.peer.pid, "cgroup", r.Cgroup)
	}
	return r, beside, err
}
