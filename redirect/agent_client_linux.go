package redirect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// askPatience is how long an agent may take to answer: it kills and removes a
// cgroup in that time, at most.
const askPatience = killPatience + 2*time.Second

// agentLane is the ebpf lane by an agent: what would need capabilities, it does.
type agentLane struct {
	ebpfLane
	agent *agentClient
}

// byAgent is Start by t's agent, where the lane l cannot be had without one, as
// why says. Where no agent is it returns why.
func byAgent(ctx context.Context, t Target, l Lane, why error) (*Diversion, error) {
	// An agent hooks no cgroup that it did not make: others' processes may be in it.
	if l != EBPF || t.Agent == "" || t.runs() || !errors.Is(why, ErrUnsupported) {
		return nil, why
	}
	agent, err := dialAgent(t.Agent)
	if errors.Is(err, unix.ENOENT) {
		return nil, why
	}
	if err != nil {
		return nil, withoutAgent(err, why)
	}
	d := newDiversion(l)
	d.agent = true
	way := &agentLane{ebpfLane: ebpfLane{door: newDoor(d)}, agent: agent}
	d.escapes, d.local, d.run, d.undo = way.escapes, way.local, way.run, way.close
	if err := way.start(ctx, t); err != nil {
		return nil, withoutAgent(errors.Join(err, d.Close()), why)
	}
	return d, nil
}

// withoutAgent is err, of an agent, and why one was asked.
func withoutAgent(err, why error) error { return fmt.Errorf("%w; without an agent: %w", err, why) }

// start makes everything that close undoes.
func (e *agentLane) start(ctx context.Context, t Target) error {
	e.hooks = e.agent
	c, err := e.open(ctx, t, nil)
	if err != nil {
		return err
	}
	if err := e.agent.open(c, e.descriptors()); err != nil {
		return err
	}
	e.serveAll()
	ctx, cancel := context.WithTimeout(ctx, birthPatience)
	defer cancel()
	e.init, e.d.private, err = birth{
		plan:    plan{Placed: true, Probe: probe.String()},
		args:    t.Init,
		kill:    e.agent.kill,
		place:   e.agent.place,
		arrived: e.probedBy,
	}.start(ctx, namespaces())
	if err != nil {
		return err
	}
	return e.lookOut(func() []int { return processes(e.agent.cgroup) })
}

// descriptors are those of our sockets.
func (e *agentLane) descriptors() []int {
	var fds []int
	for _, l := range e.listeners {
		fds = append(fds, descriptor(l))
	}
	for _, c := range e.sockets.conns() {
		fds = append(fds, descriptor(c))
	}
	return fds
}

// descriptor is that of c, as long as nobody closes c. It leaves c non-blocking.
func descriptor(c syscall.Conn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1 // closed: the agent will say so
	}
	n := -1
	raw.Control(func(fd uintptr) { n = int(fd) })
	return n
}

// agentClient is a client's end of an agent: hooks that another process loaded.
// Safe for concurrent use.
type agentClient struct {
	conn   *net.UnixConn
	path   string
	maps   *bpf.Maps // nil where this kernel lets us look into none
	opened bool
	cgroup string // after place

	once sync.Once // close

	mu     sync.Mutex // one request at a time
	buffer []byte     // for its reply
}

// dialAgent connects to the agent at path. It must be root's: it sees where
// connections go, and could send them elsewhere.
func dialAgent(path string) (*agentClient, error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil, &HintError{Err: fmt.Errorf("agent: %s: %w", path, unix.ECONNREFUSED), Hint: "sudo systemctl start serge-net-agent"}
	}
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	p, err := peerOf(c)
	if err == nil && p.uid != 0 && p.uid != os.Getuid() {
		err = &HintError{
			Err:  fmt.Errorf("the one at %s is user %d's, process %d: not to be trusted", path, p.uid, p.pid),
			Hint: "give the socket of root's agent in SERGE_AGENT",
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("agent: %w", err), c.Close())
	}
	return &agentClient{conn: c, path: path, buffer: make([]byte, maxReply)}, nil
}

// ask sends q with copies of fds beside it, and returns the reply with its
// descriptors, which the caller owns.
func (a *agentClient) ask(q request, fds ...int) (reply, []int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.Version = agentVersion
	a.conn.SetDeadline(time.Now().Add(askPatience))
	// The packet is there even if we write to who has refused us already.
	sent := writePacket(a.conn, q, fds)
	b, got, err := readPacket(a.conn, a.buffer)
	if errors.Is(err, unix.ECONNRESET) { // it hung up on what we sent; why, comes after that
		b, got, err = readPacket(a.conn, a.buffer)
	}
	if err != nil {
		return reply{}, got, fmt.Errorf("agent: %s: %w", q.Ask, errors.Join(sent, err))
	}
	var r reply
	if err := json.Unmarshal(b, &r); err != nil {
		return r, got, fmt.Errorf("agent: %s: %w", q.Ask, err)
	}
	if r.Err != "" {
		err = fmt.Errorf("agent: %s: %s", q.Ask, r.Err)
	}
	if r.Hint != "" {
		err = &HintError{Err: err, Hint: r.Hint}
	}
	return r, got, err
}

// open has the agent load hooks for c, which divert to sockets.
func (a *agentClient) open(c bpf.Config, sockets []int) error {
	q := request{Ask: askOpen, Target: &agentTarget{
		Probe: c.Probe, Except: c.Except, Loopback: c.Loopback, Resolvers: c.Resolvers, Hermetic: c.Hermetic, QUIC: c.QUIC,
		Pass: c.Pass, Pinned: c.Pinned, Source4: c.Source4, Source6: c.Source6,
	}}
	_, fds, err := a.ask(q, sockets...)
	if err != nil {
		closeAll(fds)
		return err
	}
	a.opened = true
	if a.maps, err = bpf.OpenMaps(fds); err != nil {
		a.maps = nil // then the agent looks, a packet there and one back
	}
	return nil
}

// place has the agent put the process pid, which waits, into a cgroup that has
// the hooks, and returns that.
func (a *agentClient) place(pid int) (string, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return "", fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(fd)
	r, fds, err := a.ask(request{Ask: askPlace}, fd)
	closeAll(fds)
	a.cgroup = r.Cgroup
	return r.Cgroup, err
}

// Original implements hooks.
func (a *agentClient) Original(client, listener netip.AddrPort) (bpf.Origin, bool, error) {
	if a.maps != nil {
		return a.maps.Original(client, listener)
	}
	r, fds, err := a.ask(request{Ask: askOriginal, Client: client, Listener: listener})
	closeAll(fds)
	return r.Origin, r.Found, err
}

// Queried implements hooks.
func (a *agentClient) Queried(at netip.AddrPort) (netip.AddrPort, bool, error) {
	if a.maps != nil {
		return a.maps.Queried(at)
	}
	r, fds, err := a.ask(request{Ask: askQueried, At: at})
	closeAll(fds)
	return r.Server, r.Found, err
}

// Escapes implements hooks.
func (a *agentClient) Escapes() ([]bpf.Escape, error) {
	switch {
	case !a.opened:
		return nil, nil
	case a.maps != nil:
		return a.maps.Escapes()
	}
	r, fds, err := a.ask(request{Ask: askEscapes})
	closeAll(fds)
	return r.Escapes, err
}

// Talks implements hooks.
func (a *agentClient) Talks() ([]bpf.Talk, error) {
	if a.maps != nil {
		return a.maps.Talks()
	}
	r, fds, err := a.ask(request{Ask: askTalks})
	closeAll(fds)
	return r.Talks, err
}

// kill kills the target: by the agent, or what is ours of it if that is gone.
func (a *agentClient) kill() {
	_, fds, err := a.ask(request{Ask: askKill})
	closeAll(fds)
	if err != nil && a.cgroup != "" {
		kill(a.cgroup)
	}
}

// Close implements hooks: it returns when the cgroup is gone. An agent that is
// gone leaves it, empty, to the next.
func (a *agentClient) Close() error {
	var errs []error
	a.once.Do(func() {
		if a.cgroup != "" {
			_, fds, err := a.ask(request{Ask: askEnd})
			closeAll(fds)
			if err != nil && !lost(err) {
				errs = append(errs, err)
			}
		}
		if a.maps != nil {
			errs = append(errs, a.maps.Close())
		}
		errs = append(errs, a.conn.Close())
	})
	return errors.Join(errs...)
}

// lost says whether err is that the agent has hung up.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}

// confined runs f on a thread of its own that has no_new_privs: what f starts has
// it too, for good.
func confined(f func() error) error {
	var err error
	var ends sync.WaitGroup
	ends.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this
		if err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			err = fmt.Errorf("no_new_privs: %w", err)
			return
		}
		err = f()
	})
	ends.Wait()
	return err
}
