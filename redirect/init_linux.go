package redirect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helper is init: the process between us and the command.
type helper struct {
	plan   plan
	ctl    *net.UnixConn
	parent *os.File  // pidfd
	dir    string    // the command's cgroup, "" if there is none
	shared string    // the cgroup that the command shares with us, "" if it does not
	net    *innerNet // nil: the network is ours

	pid    int // the command, 0 before and after
	pidfd  int
	caught map[os.Signal]time.Time // what our process group got

	messages  chan incoming
	resumed   chan struct{} // the parent has told of a step
	dismissed chan struct{} // closed when the parent has said stop: it tells of none any more
	orphaned  chan struct{} // closed when the parent is gone
	orphan    func()        // closes it
	reaped    chan unix.WaitStatus
	childless chan struct{} // closed when nobody of the target is left; nil before the command
	forward   chan message  // group signals, groupWindow later
}

// incoming is one message with its files.
type incoming struct {
	message
	files []*os.File
}

// Init is the process that Start starts between us and the command; a program
// that calls Start calls Init, and exits with what it returns, when it is
// started with the arguments Target.Init. It probes, and when told mounts what
// the command is to see and starts it, and kills it when its parent dies.
func Init() int {
	// Capabilities are a thread's own: the command is forked from this one.
	runtime.LockOSThread()
	h, err := newHelper()
	if err != nil {
		fmt.Fprintln(os.Stderr, "serge-net: error: init is started by run, not by hand:", err)
		return 1
	}
	if h.plan.Keep != nil {
		return (&keeper{helper: h}).run()
	}
	// From here on whatever ends the parent is ours to clean up after: a signal to
	// our group, as Ctrl-C, too.
	signals, _ := catch()
	go h.listen()
	go h.watchParent()
	if err := h.prepare(); err == nil && h.net != nil {
		go h.net.serve()
	} // else the parent was told, and says stop; or is gone
	return h.serve(signals)
}

// newHelper takes over what init is born with.
func newHelper() (*helper, error) {
	for fd := controlFD; fd <= parentFD; fd++ {
		if err := closeOnExec(fd); err != nil {
			return nil, err
		}
	}
	h := &helper{
		parent:    os.NewFile(parentFD, "parent"),
		pidfd:     -1,
		caught:    make(map[os.Signal]time.Time),
		messages:  make(chan incoming, 16),
		resumed:   make(chan struct{}),
		dismissed: make(chan struct{}),
		orphaned:  make(chan struct{}),
		reaped:    make(chan unix.WaitStatus, 1),
		forward:   make(chan message, 16),
	}
	h.orphan = sync.OnceFunc(func() { close(h.orphaned) })
	if err := unseal(os.NewFile(planFD, "plan"), &h.plan); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	ctl, err := unixConn(os.NewFile(controlFD, "control"))
	if err != nil {
		return nil, err
	}
	h.ctl = ctl
	if h.plan.Cgroup != "" {
		h.dir = filepath.Join(h.plan.Cgroup, commandCgroup)
	}
	if h.plan.Holds {
		err = closeOnExec(heldFD)
	}
	return h, errors.Join(err, forget())
}

// closeOnExec keeps the descriptor fd from the command.
func closeOnExec(fd int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return nil
}

// prepare does what comes before the command, and tells the parent of it.
func (h *helper) prepare() error {
	// So that what the command leaves behind becomes ours to reap.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	if h.plan.Private {
		err := hide()
		m := message{Kind: msgMounted, Denied: errors.Is(err, errDenied)}
		if err != nil {
			m.Err = err.Error()
		}
		if err := errors.Join(err, send(h.ctl, m)); err != nil {
			return err
		}
	}
	h.reached(Hidden)
	if h.plan.Placed || h.plan.Waits {
		if err := h.awaitPlace(); err != nil {
			return err
		}
	}
	if h.plan.Net != nil {
		if err := h.connect(); err != nil {
			return err
		}
	}
	m := message{Kind: msgProbed}
	c, err := net.DialTimeout("tcp4", h.plan.Probe, birthPatience)
	if err != nil {
		m.Err = err.Error()
	} else {
		c.Close()
		h.reached(Probed)
	}
	return errors.Join(err, send(h.ctl, m))
}

// awaitPlace waits until we are in the command's cgroup, or it has rules.
func (h *helper) awaitPlace() error {
	if err := send(h.ctl, message{Kind: msgWaiting}); err != nil {
		return err
	}
	select {
	case m := <-h.messages:
		if m.Kind != msgPlaced {
			h.messages <- m // stop: it has room, nothing else comes
			return fmt.Errorf("%s, not %s", m.Kind, msgPlaced)
		}
		h.shared = m.Cgroup
		// The agent's name for it is not ours where we see a part of the cgroups only.
		if own, err := ownCgroup(); err == nil && filepath.Base(own) == filepath.Base(m.Cgroup) {
			h.shared = own
		}
		return nil
	case <-h.orphaned:
		return errOrphaned
	}
}

// errOrphaned is why init does not go on when its parent is gone.
var errOrphaned = errors.New("the parent is gone")

// connect makes the network, and tells the parent how to serve it.
func (h *helper) connect() error {
	n, ready, files, err := makeNet(*h.plan.Net)
	h.net = n
	m := message{Kind: msgNet, Net: &ready, Denied: errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)}
	if err != nil {
		m.Err, files = err.Error(), nil
	} else {
		h.reached(Networked)
	}
	err = errors.Join(err, send(h.ctl, m, files...))
	for _, f := range files {
		f.Close() // the parent's alone: with it gone, connects are refused
	}
	return err
}

// serve does as the parent says until it says stop, or is gone. That the
// command ends is not the end: what the parent has made is to be removed still,
// by the parent or, if that is killed, by us.
func (h *helper) serve(signals <-chan os.Signal) int {
	for {
		select {
		case m := <-h.messages:
			if h.obey(m) {
				h.clear()
				return 0
			}
		case <-h.orphaned:
			h.clear()
			h.disarm()
			h.vanish()
			return 1
		case s := <-signals:
			h.caught[s] = time.Now()
		case m := <-h.forward:
			s := syscall.Signal(m.Signal)
			if time.Since(h.caught[s]) > tellingWindow {
				h.signal(m.Signal)
			}
			delete(h.caught, s) // one catch answers for one message
		case s := <-h.reaped:
			h.reached(Ended)
			h.pid = 0
			h.clear()
			h.reached(Cleared)
			send(h.ctl, message{Kind: msgEnded, Status: statusOf(s)}, h.last()...)
		}
	}
}

// last is what the parent cannot ask for any more when init is gone.
func (h *helper) last() []*os.File {
	if h.net == nil {
		return nil
	}
	var f *os.File
	if err := elsewhere(func() (err error) { f, err = h.net.refused(); return err }); err != nil {
		return nil
	}
	return []*os.File{f}
}

// listen reads messages; it ends with the process.
func (h *helper) listen() {
	for {
		m, files, err := receive(h.ctl)
		if err != nil {
			h.orphan()
			return
		}
		switch m.Kind {
		case msgStep:
			h.resumed <- struct{}{}
			continue
		case msgStop: // once
			close(h.dismissed)
		}
		h.messages <- incoming{m, files}
	}
}

// watchParent waits for the parent's end; it ends with the process.
func (h *helper) watchParent() {
	fds := []unix.PollFd{{Fd: int32(h.parent.Fd()), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(fds, -1); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			h.orphan()
			return
		}
	}
}

// obey does what one message says, and returns true if init is to end.
func (h *helper) obey(m incoming) bool {
	switch m.Kind {
	case msgStop:
		return true
	case msgEnd:
		h.clear() // reap tells of the command's end
	case msgRun:
		pid, status, err := h.begin(m.files)
		if err != nil {
			send(h.ctl, message{Kind: msgMounted, Err: err.Error()})
			break
		}
		if status != nil {
			send(h.ctl, message{Kind: msgEnded, Status: status})
			break
		}
		h.pid, h.childless = pid, make(chan struct{})
		h.reached(Started)
		send(h.ctl, message{Kind: msgStarted, PID: pid})
		go h.reap(pid, h.childless)
	case msgSignal:
		if !m.Group {
			h.signal(m.Signal)
			break
		}
		time.AfterFunc(groupWindow, func() { h.forward <- m.message })
	}
	return false
}

// signal sends the signal n to the command, if it runs.
func (h *helper) signal(n int) {
	if h.pid != 0 {
		unix.PidfdSendSignal(h.pidfd, unix.Signal(n), nil, 0)
	}
}

// reap waits for every child, the command and those it leaves behind; it ends
// with init, or when there is none, and closes childless then.
func (h *helper) reap(command int, childless chan<- struct{}) {
	defer close(childless)
	for {
		var s unix.WaitStatus
		pid, err := unix.Wait4(-1, &s, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		if pid == command {
			h.reaped <- s
		}
	}
}

// disarm removes the rules that the parent does not live to remove.
func (h *helper) disarm() {
	if h.childless != nil {
		select {
		case <-h.childless: // or reap takes the end of the programs that remove them
		case <-time.After(killPatience):
		}
	}
	elsewhere(h.plan.Rules.disarm) // what cannot be removed is left to the next start
}

// vanish removes our own cgroup: nobody else is left to do it.
func (h *helper) vanish() {
	if h.plan.Cgroup == "" {
		return
	}
	elsewhere(func() error {
		os.WriteFile(filepath.Join(h.plan.Outside, "cgroup.procs"), []byte("0"), 0)
		return removeDirs(h.plan.Cgroup)
	})
}

// statusOf is how the command ended.
func statusOf(s unix.WaitStatus) *wireStatus {
	if s.Signaled() {
		return &wireStatus{Code: 128 + int(s.Signal()), Signal: int(s.Signal())}
	}
	return &wireStatus{Code: s.ExitStatus()}
}
