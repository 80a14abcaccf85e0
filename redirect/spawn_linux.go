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
	proc  *os.Process
	ctl   *net.UnixConn
	kill  func() // the whole target, init too
	trace *trace

	last func([]*os.File) // owns what comes with init's last message; may be nil
	used atomic.Bool      // by run
	runs atomic.Bool      // supervise has begun
	wait sync.WaitGroup   // supervise and relay

	ended, stopped sync.Once
}

// namespaces are the ways to give init a mount namespace, best first. The last
// is none.
func namespaces() []plan {
	if capable(unix.CAP_SYS_ADMIN) {
		return []plan{{Private: true}, {}}
	}
	return []plan{{Private: true, User: true}, {}}
}

// errDenied says that init has namespaces but may not mount in them, or make
// their network, as where AppArmor restricts user namespaces.
var errDenied = errors.New("not allowed")

// A birth is how a lane has init born.
type birth struct {
	plan plan
	args []string // Target.Init
	held *os.File // what the command is to hold for as long as it lives; nil: nothing
	// credential has init born with other groups; nil: with ours.
	credential *syscall.Credential
	kill       func() // kills the whole target; nil: all that is below init
	trace      *trace
	// place puts the init that has this pid, if plan.Placed, into the target's
	// cgroup, and returns that. If plan.Waits it makes the rules.
	place func(pid int) (string, error)
	// connected serves the network that init has made, and owns the files; nil
	// where plan.Net is.
	connected func(*netReady, []*os.File) error
	// arrived waits for the probe of the init that has this pid.
	arrived func(ctx context.Context, pid int) error
}

// start starts init in the first of ways that this machine allows, and waits
// until it has hidden the host's resolvers and its probe has arrived. private
// says whether it has a mount namespace of its own.
func (b birth) start(ctx context.Context, ways []plan) (i *initProcess, private bool, err error) {
	for n, way := range ways {
		b.plan.Private, b.plan.User = way.Private, way.User
		i, err = b.spawn(ctx)
		if err == nil {
			return i, way.Private, nil
		}
		denied := errors.Is(err, errDenied) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) ||
			errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EUSERS)
		if !denied || n == len(ways)-1 {
			break
		}
	}
	return nil, false, err
}

// spawn starts init in one way and follows it to its probe.
func (b birth) spawn(ctx context.Context) (*initProcess, error) {
	var left tree
	if b.kill == nil {
		var err error
		if left, err = plant(); err != nil {
			return nil, err
		}
	}
	proc, ctl, err := b.fork()
	if err != nil {
		return nil, err
	}
	b.trace.born(proc.Pid)
	i := &initProcess{proc: proc, ctl: ctl, kill: b.kill, trace: b.trace}
	if b.kill == nil {
		i.kill = func() { left.fell(proc) }
	}
	if err := b.follow(ctx, i); err != nil {
		i.stop()
		return nil, err
	}
	return i, nil
}

// follow reads what init reports until it has probed.
func (b birth) follow(ctx context.Context, i *initProcess) error {
	unblock := context.AfterFunc(ctx, func() { i.ctl.SetReadDeadline(time.Unix(1, 0)) })
	defer unblock()
	for {
		m, files, err := receive(i.ctl)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for init: %w", ctx.Err())
		case err != nil:
			return fmt.Errorf("wait for init: %w", err)
		case m.Err != "" && m.Denied:
			return fmt.Errorf("%w: %s", errDenied, m.Err)
		case m.Err != "":
			return fmt.Errorf("init: %s: %s", m.Kind, m.Err)
		case m.Kind == msgWaiting:
			cgroup, err := b.place(i.proc.Pid)
			if err == nil {
				err = send(i.ctl, message{Kind: msgPlaced, Cgroup: cgroup})
			}
			if err != nil {
				return err
			}
		case m.Kind == msgNet:
			if err := b.connected(m.Net, files); err != nil {
				return err
			}
			b.trace.reached(Served)
		case m.Kind == msgStep:
			i.told(m)
		case m.Kind == msgProbed:
			return b.arrived(ctx, i.proc.Pid)
		}
	}
}

// fork starts this executable as init.
func (b birth) fork() (*os.Process, *net.UnixConn, error) {
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
	proc, err := b.spawnInit(theirs)
	if err != nil {
		ctl.Close()
		return nil, nil, err
	}
	return proc, ctl, nil
}

// spawnInit starts init with the descriptors it expects, inside the cgroup if
// there is one.
func (b birth) spawnInit(control *os.File) (*os.Process, error) {
	b.plan.Holds, b.plan.Traced = b.held != nil, b.trace != nil
	told, err := sealed(b.plan)
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
	attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, control, told, self}, Sys: b.plan.attributes()}
	if b.held != nil {
		attr.Files = append(attr.Files, b.held)
	}
	where := "the namespaces"
	if b.plan.Cgroup != "" {
		where = b.plan.Cgroup
		dir, err := os.Open(b.plan.Cgroup)
		if err != nil {
			return nil, fmt.Errorf("open cgroup: %w", err)
		}
		defer dir.Close()
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(dir.Fd())
	}
	attr.Sys.Credential = b.credential
	if b.plan.User {
		// A program with file capabilities is not dumpable, and then its
		// children's uid_map is root's.
		unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}
	args := b.args
	if args == nil {
		args = []string{"init"}
	}
	var proc *os.Process
	begin := func() (err error) {
		proc, err = os.StartProcess("/proc/self/exe", append([]string{os.Args[0]}, args...), attr)
		return err
	}
	if b.plan.Placed && os.Getuid() != 0 {
		err = confined(begin)
	} else {
		err = begin()
	}
	if err != nil {
		return nil, fmt.Errorf("start init in %s: %w", where, err)
	}
	return proc, nil
}

// attributes say in which namespaces init is born.
func (p plan) attributes() *syscall.SysProcAttr {
	a := new(syscall.SysProcAttr)
	if p.Private {
		a.Cloneflags = unix.CLONE_NEWNS
	}
	if p.User {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	}
	if p.Net != nil {
		a.Cloneflags |= unix.CLONE_NEWNET
		if p.User {
			a.AmbientCaps = append(a.AmbientCaps, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW)
		}
	}
	return a
}

// end ends what init started, and waits until nothing is left of it. Init stays,
// unless it is stopped or stuck: then, after a while, it is killed, and all with
// it. Twice is no error.
func (i *initProcess) end() {
	i.ended.Do(func() {
		if i.runs.Load() {
			i.await(msgEnd, i.wait.Wait)
		}
	})
}

// stop ends init and what it started, and waits for it as end does. Twice is no
// error.
func (i *initProcess) stop() {
	i.end()
	i.stopped.Do(func() {
		i.await(msgStop, func() {
			i.wait.Wait() // a keeper is read to its end
			i.proc.Wait()
		})
		i.ctl.Close()
		i.trace.buried()
	})
}

// await sends init a message of this kind and waits for what follows from it.
func (i *initProcess) await(k kind, wait func()) {
	late := time.AfterFunc(killPatience, func() { i.proc.Kill() })
	if send(i.ctl, message{Kind: k}) != nil {
		i.proc.Kill() // it is gone, or going
	}
	wait()
	if !late.Stop() {
		i.kill()
	}
}

// own returns f, or ours if it is nil.
func own(f, ours *os.File) *os.File {
	if f == nil {
		return ours
	}
	return f
}

// members are init and what is below it.
func (i *initProcess) members() []int {
	return append(descendants(i.proc.Pid, nil), i.proc.Pid)
}
