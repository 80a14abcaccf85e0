package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A target without a cgroup is the tree of processes below init. None leaves
// it: init is a child subreaper (prctl(2)), so that who loses its parent becomes
// init's child, and init has nobody left if and only if it has no child. When
// init itself is killed the tree falls to us, who are a subreaper too. That is
// surer than a mark that is looked for in all of /proc: marks can be shed, by
// setgroups(2) or by another namespace, and parents cannot.

// treePause is how long a process that was sent SIGKILL may take before it is
// looked for again.
const treePause = time.Millisecond

// A tree is what is left of a target without a cgroup when init was killed.
type tree struct {
	spared []int // our children from before
}

// plant makes this process, for good, the one to which processes below init
// fall when init is killed. Children that it has later are taken for such then.
func plant() (tree, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return tree{}, fmt.Errorf("become a subreaper: %w", err)
	}
	return tree{spared: children(os.Getpid())}, nil
}

// fell kills init and, when it is gone, all that it leaves us.
func (t tree) fell(init *os.Process) {
	init.Kill() // one that is gone is what we want
	init.Wait()
	// A child that ended stays one until it is waited for, here, and by then its
	// own children are ours: none is seen only when there is none.
	fellAll(os.Getpid(), t.spared, t.reap, func(found int) bool { return found == 0 })
}

// reap waits for those of our children that have ended, but for the spared.
func (t tree) reap() {
	for _, pid := range children(os.Getpid()) {
		if !slices.Contains(t.spared, pid) {
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// fellAll kills what is below root, but for the children spared, until done says
// that nobody is left: a process that forks as fast as it can loses, as the next
// round comes without a pause while there is somebody new, and a process with
// SIGKILL pending does not fork (copy_process in the kernel). What cannot be
// killed is given up after killPatience. reap waits for those that ended; it comes
// first, as to look below one costs more than to make one.
func fellAll(root int, spared []int, reap func(), done func(found int) bool) {
	killed := make(map[int]bool)
	for deadline := time.Now().Add(killPatience); time.Now().Before(deadline); {
		reap()
		found := descendants(root, spared)
		if done(len(found)) {
			return
		}
		fresh := false
		for _, pid := range found {
			fresh = fresh || !killed[pid]
			killed[pid] = true
			unix.Kill(pid, unix.SIGKILL)
		}
		if !fresh {
			clear(killed) // ids come again
			pause := time.NewTimer(treePause)
			<-pause.C
		}
	}
}

// descendants are the processes below root, but for its children spared.
func descendants(root int, spared []int) []int {
	var all []int
	seen := make(map[int]bool)
	for _, pid := range spared {
		seen[pid] = true
	}
	add := func(pids []int) {
		for _, pid := range pids {
			if !seen[pid] { // else its parent ended meanwhile
				seen[pid] = true
				all = append(all, pid)
			}
		}
	}
	add(children(root))
	for n := 0; n < len(all); n++ {
		add(children(all[n]))
	}
	return all
}

// children are the processes whose parent is pid, as far as they hold still:
// proc_pid_task(5), "children".
func children(pid int) []int {
	if _, err := os.Stat("/proc/thread-self/children"); errors.Is(err, fs.ErrNotExist) {
		return childrenByStat(pid) // a kernel without CONFIG_PROC_CHILDREN
	}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	var all []int
	for _, t := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		all = append(all, numbers(string(b))...)
	}
	return all
}

// childrenByStat is children, from every process there is: slower.
func childrenByStat(parent int) []int {
	var all []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := parentPID(pid); err == nil && p == parent {
			all = append(all, pid)
		}
	}
	return all
}

// numbers are the decimal numbers in s.
func numbers(s string) []int {
	var all []int
	for _, f := range strings.Fields(s) {
		if n, err := strconv.Atoi(f); err == nil {
			all = append(all, n)
		}
	}
	return all
}
