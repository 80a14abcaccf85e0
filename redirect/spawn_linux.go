package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// birthPatience is how long init may take from its start to the probe. It
// takes about 10 ms; a machine that needs seconds is overloaded.
const birthPatience = 20 * time.Second

// initProcess is the parent's end of init.
type initProcess struct {
	proc *os.Process
	ctl  *net.UnixConn
	kill func() // the whole target

	used atomic.Bool    // by run
	wait sync.WaitGroup // supervise and relay

	once sync.Once
}

// namespaces are the ways to give init a mount namespace, best first. The last
// is none.
func namespaces() []plan {
	if capable(unix.CAP_SYS_ADMIN) {
		return []plan{{Private: true}, {}}
	}
	return []plan{{Private: true, User: true}, {}}
}

// errDenied says that init has a mount namespace but may not mount in it, as
// where AppArmor restricts user namespaces.
var errDenied = errors.New("no mounts")

// born starts init in the target, waits until it has hidden the host's
// resolvers and until its probe has arrived.
func (e *ebpfLane) born(ctx context.Context, t Target, outside string) error {
	ctx, cancel := context.WithTimeout(ctx, birthPatience)
	defer cancel()
	links, err := holdLinks(e.hooks.Links())
	if err != nil {
		return err
	}
	defer links.Close()
	ways := namespaces()
	for i, p := range ways {
		p.Cgroup, p.Outside, p.Probe = e.cgroup, outside, probe.String()
		err = e.spawn(ctx, p, t.Init, links)
		denied := errors.Is(err, errDenied) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) ||
			errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EUSERS)
		if err == nil {
			e.d.private = p.Private
			return nil
		}
		if !denied || i == len(ways)-1 {
			break
		}
	}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return cgroupError(outside, err)
	}
	return err
}

// spawn starts init in one way and follows it to its probe.
func (e *ebpfLane) spawn(ctx context.Context, p plan, args []string, links *os.File) error {
	proc, ctl, err := fork(p, args, links)
	if err != nil {
		return err
	}
	i := &initProcess{proc: proc, ctl: ctl, kill: func() { kill(e.cgroup) }}
	if err := e.follow(ctx, i); err != nil {
		i.stop()
		return err
	}
	e.init = i
	return nil
}

// follow reads what init reports until it has probed.
func (e *ebpfLane) follow(ctx context.Context, i *initProcess) error {
	unblock := context.AfterFunc(ctx, func() { i.ctl.SetReadDeadline(time.Unix(1, 0)) })
	defer unblock()
	for {
		m, _, err := receive(i.ctl)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for init: %w", ctx.Err())
		case err != nil:
			return fmt.Errorf("wait for init: %w", err)
		case m.Err != "" && m.Denied:
			return fmt.Errorf("%w: %s", errDenied, m.Err)
		case m.Err != "":
			return fmt.Errorf("init: %s: %s", m.Kind, m.Err)
		case m.Kind == msgProbed:
			return e.arrived(ctx, i.proc.Pid)
		}
	}
}

// arrived waits for the probe to arrive here. That init could connect is not
// enough: somebody else may listen there.
func (e *ebpfLane) arrived(ctx context.Context, pid int) error {
	select {
	case seen := <-e.probed:
		e.foreignPIDs.Store(seen != pid)
		return nil
	case <-ctx.Done():
		return &HintError{
			Err:  fmt.Errorf("the probe did not arrive: %w", ctx.Err()),
			Hint: "another program's hooks on this cgroup or one above divert connections: see bpftool cgroup tree",
		}
	}
}

// fork starts this executable as init.
func fork(p plan, args []string, links *os.File) (*os.Process, *net.UnixConn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	ctl, err := unixConn(os.NewFile(uintptr(pair[0]), "control"))
	if err != nil {
		return nil, nil, err
	}
	proc, err := spawnInit(p, args, theirs, links)
	if err != nil {
		ctl.Close()
		return nil, nil, err
	}
	return proc, ctl, nil
}

// spawnInit starts init with the descriptors it expects, inside the cgroup.
func spawnInit(p plan, args []string, control, links *os.File) (*os.Process, error) {
	told, err := sealed(p)
	if err != nil {
		return nil, err
	}
	defer told.Close()
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	self := os.NewFile(uintptr(fd), "self")
	defer self.Close()
	dir, err := os.Open(p.Cgroup)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	defer dir.Close()
	if args == nil {
		args = []string{"init"}
	}
	attr := &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, control, told, self, links},
		Sys:   sysProcAttr(p, int(dir.Fd())),
	}
	if p.User {
		// A program with file capabilities is not dumpable, and then its
		// children's uid_map is root's.
		unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}
	proc, err := os.StartProcess("/proc/self/exe", append([]string{os.Args[0]}, args...), attr)
	if err != nil {
		return nil, fmt.Errorf("start init in %s: %w", p.Cgroup, err)
	}
	return proc, nil
}

// sysProcAttr says how init is born.
func sysProcAttr(p plan, cgroup int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: cgroup}
	if p.Private {
		a.Cloneflags = unix.CLONE_NEWNS
	}
	if p.User {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	}
	return a
}

// stop ends init and what it started, and waits for it: a while, if init is
// stopped or stuck, then it is killed. Twice is no error.
func (i *initProcess) stop() {
	i.once.Do(func() {
		late := time.AfterFunc(killPatience, func() { i.proc.Kill() })
		defer late.Stop()
		if send(i.ctl, message{Kind: msgStop}) != nil {
			i.proc.Kill() // it is gone, or going
		}
		if i.used.Load() {
			i.wait.Wait() // supervise reads to the end and reaps
		} else {
			i.proc.Wait()
		}
		i.ctl.Close()
	})
}

// own returns f, or ours if it is nil.
func own(f, ours *os.File) *os.File {
	if f == nil {
		return ours
	}
	return f
}
