package redirect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// attachment is what an ebpfLane has whose target runs already.
type attachment struct {
	target  Target
	place   Place
	network *os.File  // nil: ours
	files   *coverage // nil: no mounts can be made that others do not see
	outside string    // our own cgroup
	owner   string
	older   map[int]map[uint32]string // the sockets that each process had, as inetSockets has them
	keeper  *keeperProcess
	hooks   *bpf.Hooks

	watching sync.WaitGroup
	wake     *os.File // closed to end watch
	gone     chan struct{}

	mu      sync.Mutex
	dirs    []string // the cgroups that were made for what was moved, and hooked
	covered bool
}

// attachTo makes everything that detach undoes.
func (e *ebpfLane) attachTo(ctx context.Context, t Target, outside string) error {
	a := &attachment{target: t, outside: outside, gone: make(chan struct{}), older: make(map[int]map[uint32]string)}
	e.attached = a
	if err := a.look(); err != nil {
		return err
	}
	c, err := e.open(ctx, t, madeIn(a.network))
	if err != nil {
		return err
	}
	if a.hooks, err = loadHooks(c); err != nil {
		return loadError(err)
	}
	e.hooks = a.hooks
	dir := t.Cgroup
	if t.PID != 0 {
		if dir, err = cgroupDir(t.PID); err != nil {
			return err
		}
		if dir, err = a.makeBelow(dir); err != nil {
			return err
		}
	}
	if err := a.hook(dir); err != nil {
		return err
	}
	if err := e.lookInto(); err != nil {
		return err
	}
	e.serveAll()
	if err := e.keep(ctx, dir); err != nil {
		return err
	}
	var left []int
	if t.PID != 0 {
		if left, err = e.gather(ctx); err != nil {
			return err
		}
	}
	return e.settle(left)
}

// look finds out where the target lives, and opens what is needed to go there.
func (a *attachment) look() (err error) {
	if a.owner, err = ownerName(); err != nil {
		return err
	}
	root, err := cgroupRoot()
	if err != nil {
		return err
	}
	if a.place, err = a.target.Place(); err != nil {
		return err
	}
	giveBackAll(root, ownerGone) // what is another user's stays
	if a.place.Network {
		if a.network, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", a.place.PID)); err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
	}
	if a.place.Mounts {
		if a.files, err = openPlace(a.place.PID); err != nil {
			return err
		}
	}
	return nil
}

// makeBelow makes a cgroup for what is moved out of dir.
func (a *attachment) makeBelow(dir string) (string, error) {
	name := filepath.Join(dir, attachedPrefix+a.owner)
	path := name
	for n := 2; ; n++ {
		err := os.Mkdir(path, 0o755)
		if err == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.dirs = append(a.dirs, path)
			return path, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", cgroupError(dir, err)
		}
		path = fmt.Sprintf("%s-%d", name, n)
	}
}

// hook attaches the hooks to dir, where no others of ours may be: the first to
// see a connect would leave the other with none.
func (a *attachment) hook(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer f.Close()
	if bpf.Hooked(f) {
		return &HintError{
			Err:  fmt.Errorf("attach to %s: a serge-net diverts it already", dir),
			Hint: "end that one first: it runs, or is attached to, this cgroup or one above",
		}
	}
	return a.hooks.Attach(f)
}

// lookInto has a lookout watch the target, from its network namespace.
func (e *ebpfLane) lookInto() error {
	a := e.attached
	start := func() error { return e.lookOut(a.processes) }
	if a.network == nil {
		return start()
	}
	return inNetwork(a.network, start)
}

// processes are those that are diverted.
func (a *attachment) processes() []int {
	if a.target.Cgroup != "" {
		return processes(a.target.Cgroup)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []int
	for _, dir := range a.dirs {
		all = append(all, processes(dir)...)
	}
	return all
}

// keep has the keeper born in dir, and waits for its probe.
func (e *ebpfLane) keep(ctx context.Context, dir string) error {
	a := e.attached
	ctx, cancel := context.WithTimeout(ctx, birthPatience)
	defer cancel()
	told := &keepPlan{Owner: a.owner}
	if a.network != nil {
		told.Network = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), a.network.Fd())
	}
	i, _, err := birth{
		plan:    plan{Cgroup: dir, Outside: a.outside, Probe: probe.String(), Keep: told},
		args:    a.target.Init,
		kill:    func() {},
		arrived: e.probedBy,
	}.start(ctx, []plan{{}})
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return cgroupError(dir, err)
	}
	if err != nil {
		return err
	}
	a.keeper = newKeeper(i)
	return nil
}

// gather moves the process and its descendants into hooked cgroups, until there
// is none that is not: one forked meanwhile is born where its parent was. It
// returns those that it must leave where they are.
func (e *ebpfLane) gather(ctx context.Context) (left []int, err error) {
	a := e.attached
	for {
		moved := false
		left = left[:0]
		for _, pid := range kin(a.target.PID) {
			if pid != a.target.PID && !sameNetwork(pid, a.target.PID) {
				left = append(left, pid)
				continue
			}
			did, err := e.take(pid)
			if err != nil && pid == a.target.PID && errors.Is(err, unix.ESRCH) {
				return nil, noProcess(pid)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return nil, err
			}
			moved = moved || did
		}
		if !moved {
			return left, a.alive()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("move process %d: %w", a.target.PID, ctx.Err())
		}
	}
}

// take moves pid, unless it is moved already.
func (e *ebpfLane) take(pid int) (bool, error) {
	a := e.attached
	from, err := cgroupDir(pid)
	if errors.Is(err, fs.ErrNotExist) {
		return false, unix.ESRCH
	}
	if err != nil || slices.Contains(a.dirs, from) {
		return false, err
	}
	to := slices.IndexFunc(a.dirs, func(dir string) bool { return filepath.Dir(dir) == from })
	if to < 0 {
		dir, err := a.makeBelow(from)
		if err != nil {
			return false, err
		}
		if err := a.hook(dir); err != nil {
			return false, err
		}
		to = len(a.dirs) - 1
	}
	a.older[pid] = inetSockets(pid)
	return true, moveTo(a.dirs[to], pid)
}

// alive says that the process is there still.
func (a *attachment) alive() error {
	if s, err := statOf(a.target.PID); err != nil || s.ended() {
		return noProcess(a.target.PID)
	}
	return nil
}

// settle looks at what the hooks do not see, and has the target watched.
func (e *ebpfLane) settle(left []int) error {
	a := e.attached
	dirs := a.dirs
	if a.target.Cgroup != "" {
		dirs = []string{a.target.Cgroup}
		for _, pid := range processes(a.target.Cgroup) {
			a.older[pid] = inetSockets(pid)
		}
	}
	var events []*os.File
	for _, dir := range dirs {
		f, err := os.Open(filepath.Join(dir, "cgroup.events"))
		if err != nil {
			return fmt.Errorf("watch cgroup: %w", err)
		}
		events = append(events, f)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("watch cgroup: %w", err)
	}
	a.wake = w
	a.watching.Go(func() { a.watch(r, events) })
	e.d.attached = &Attached{
		place:   a.place,
		unseen:  unseenOf(a.older, a.target.PID != 0),
		left:    left,
		mount:   a.mount,
		control: madeIn(a.network),
		gone:    a.gone,
		lost:    a.keeper.lost,
		closed:  e.d.closed,
	}
	return nil
}

// removalDelay is how late we may learn that a cgroup was removed, in
// milliseconds: that wakes nobody who polls its files, but for by chance.
const removalDelay = 1000

// watch closes gone when the target has: every cgroup was removed or, if its
// processes were moved there, is empty. It ends when wake is closed.
func (a *attachment) watch(wake *os.File, events []*os.File) {
	defer wake.Close()
	fds := []unix.PollFd{{Fd: int32(wake.Fd()), Events: unix.POLLIN}}
	for _, f := range events {
		defer f.Close()
		fds = append(fds, unix.PollFd{Fd: int32(f.Fd()), Events: unix.POLLPRI})
	}
	for {
		if !slices.ContainsFunc(events, a.populated) {
			close(a.gone)
			return
		}
		if _, err := unix.Poll(fds, removalDelay); err != nil && !errors.Is(err, unix.EINTR) || fds[0].Revents != 0 {
			return
		}
	}
}

// populated reads a cgroup.events: whether something of the target may be there.
// kernfs wakes poll when the file has changed since it was read.
func (a *attachment) populated(events *os.File) bool {
	b := make([]byte, 4096)
	n, err := events.ReadAt(b, 0)
	if n == 0 && err != nil {
		return false // ENODEV: the cgroup was removed
	}
	return a.target.PID == 0 || bytes.Contains(b[:n], []byte("populated 1"))
}

// mount is Attached.Mount.
func (a *attachment) mount(mounts []Mount) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.files == nil {
		return fmt.Errorf("redirect: mount: %w: others see the target's mounts", ErrUnsupported)
	}
	if a.covered {
		return errors.New("redirect: mount: done already")
	}
	if err := a.files.mount(mounts, a.keeper.hand); err != nil {
		return fmt.Errorf("redirect: mount for process %d: %w", a.place.PID, err)
	}
	a.covered = true
	return nil
}

// detach has the target as it was. The hooks go first: the target goes on, with
// its next connection its own.
func (e *ebpfLane) detach() error {
	a := e.attached
	var errs []error
	if a.wake != nil { // before the cgroups look empty
		a.wake.Close()
		a.watching.Wait()
	}
	if a.hooks != nil {
		errs = append(errs, a.hooks.Detach())
	}
	for _, dir := range a.dirs {
		errs = append(errs, giveBack(dir))
	}
	if a.keeper != nil {
		a.keeper.stop()
		errs = append(errs, a.keeper.err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.covered { // what the keeper, had it been killed, would have left
		errs = append(errs, a.files.undo())
	}
	a.covered = false
	if a.network != nil {
		errs = append(errs, a.network.Close())
	}
	return errors.Join(append(errs, a.files.close())...)
}
