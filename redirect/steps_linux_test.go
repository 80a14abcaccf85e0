package redirect

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A stepWay is a way to divert whose steps are tried.
type stepWay struct {
	name   string
	lane   Lane
	routed bool   // it needs routes
	before string // a shell script that comes before the parent, in a mount namespace of its own
}

// stepWays are all there are.
func stepWays() []stepWay {
	return []stepWay{
		{"ebpf", EBPF, false, ""},
		{"netns", Netns, false, ""},
		{"netns without a cgroup", Netns, false, hideCgroups},
		{"iptables by cgroup", IPTables, true, ""},
		{"iptables by group", IPTables, true, hideCgroups},
	}
}

// cgroups says whether the target has a cgroup.
func (w stepWay) cgroups() bool { return w.before == "" }

// enter puts the test in a network namespace for w, and returns that.
func (w stepWay) enter(t *testing.T) *os.File {
	t.Helper()
	isolate(t)
	if w.routed {
		addRoutes(t)
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// A stepRun is a parent that stands at a step.
type stepRun struct {
	way           stepWay
	cmd           *exec.Cmd
	dir, temp     string // the cgroup that all its processes are in; its TMPDIR
	goOn, ask     *os.File
	report, said  *bufio.Reader
	init, command int
	program       ebpf.ProgramID // a hook, 0 if there is none
	mounts        string
}

// start starts a parent in the cgroup dir that stops at step. Its command stays,
// or ends.
func (w stepWay) start(t *testing.T, dir, step, stays string) *stepRun {
	t.Helper()
	r := &stepRun{way: w, temp: t.TempDir(), dir: dir, mounts: mountsHere(t)}
	args := self(t, "steps", step, stays)
	if w.before != "" {
		args = append([]string{"unshare", "-m", "sh", "-ec", w.before + `; exec "$@"`, "sh"}, args...)
	}
	r.cmd = exec.Command(args[0], args[1:]...)
	r.cmd.Env = append(os.Environ(), laneVariable+"="+w.lane.String(), "TMPDIR="+r.temp)
	cgroup, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(cgroup.Fd())}
	in, ask := pipe(t)
	out, said := pipe(t)
	goOn, tell := pipe(t)
	report, reports := pipe(t)
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.ExtraFiles = in, said, []*os.File{goOn, reports}
	r.ask, r.said, r.goOn, r.report = ask, bufio.NewReader(out), tell, bufio.NewReader(report)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{in, said, goOn, reports} {
		f.Close()
	}
	return r
}

// cgroupHere makes a cgroup for one run, which must be empty at the end.
func cgroupHere(t *testing.T) string {
	t.Helper()
	own, err := ownCgroup()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(own, "steps-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeCgroup(context.Background(), dir); err != nil { // kills what is left
			t.Error(err)
		}
	})
	return dir
}

// mountsHere are the mounts that this thread sees.
func mountsHere(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// reach waits until the run stands at its step.
func (r *stepRun) reach(t *testing.T) {
	t.Helper()
	line, err := r.report.ReadString('\n')
	if n, _ := fmt.Sscan(line, &r.init, &r.command); n != 2 {
		t.Fatalf("the step was never reached: %q, %v", line, err)
	}
	if r.way.lane == EBPF {
		r.program = hookOf(t, r.dir)
	}
}

// hookOf is a hook of the cgroup of ours below dir, 0 if there is none.
func hookOf(t *testing.T, dir string) ebpf.ProgramID {
	t.Helper()
	found, _ := filepath.Glob(dir + "/" + cgroupPrefix + "*")
	if len(found) == 0 {
		return 0
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	q, err := link.QueryPrograms(link.QueryOptions{Target: int(f.Fd()), Attach: ebpf.AttachCGroupInet4Connect})
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Programs) == 0 {
		return 0
	}
	return q.Programs[0].ID
}

// A doomed is who of a run is killed at once.
type doomed struct {
	name                  string
	parent, init, command bool
}

// allDoomed are those tried, with SERGE_TEST_ALL all there are.
func allDoomed() []doomed {
	some := []doomed{
		{"parent", true, false, false},
		{"init", false, true, false},
		{"parent and init", true, true, false},
	}
	if os.Getenv("SERGE_TEST_ALL") == "" {
		return some
	}
	return append(some, doomed{"command", false, false, true}, doomed{"init and command", false, true, true}, doomed{"parent and command", true, false, true})
}

// within says whether s is from or comes after it, and before to.
func (s Step) within(l Lane, from, to Step) bool {
	at := slices.Index(l.Steps(), s)
	return at >= slices.Index(l.Steps(), from) && at < slices.Index(l.Steps(), to)
}

// there says whether all of v live at s.
func (v doomed) there(l Lane, s Step) bool {
	return (!v.init || s.within(l, Born, Gone)) && (!v.command || s.within(l, Started, Ended))
}

// kill kills v, and waits until it is dead.
func (r *stepRun) kill(t *testing.T, v doomed) {
	t.Helper()
	if v.init && r.init == 0 || v.command && r.command == 0 {
		t.Fatalf("init is %d, the command %d; want both", r.init, r.command)
	}
	var pids []int
	for _, c := range []struct {
		dies bool
		pid  int
	}{{v.command, r.command}, {v.init, r.init}, {v.parent, r.cmd.Process.Pid}} { // init before the parent: see TestKillBoth
		if c.dies {
			pids = append(pids, c.pid)
		}
	}
	for _, pid := range pids {
		if len(pids) > 1 {
			stop(t, pid)
		}
	}
	for _, pid := range pids {
		defer deathOf(t, "who was killed", pid)()
		unix.Kill(pid, unix.SIGKILL)
	}
}

// left says what there is of the run, "" if nothing.
func (r *stepRun) left(t *testing.T) string {
	t.Helper()
	var left []string
	if pids := processes(r.dir); len(pids) > 0 {
		left = append(left, fmt.Sprintf("processes %v", pids))
	}
	if found, _ := filepath.Glob(r.dir + "/*serge*"); len(found) > 0 {
		left = append(left, fmt.Sprintf("cgroups %v", found))
	}
	if files, err := os.ReadDir(r.temp); err != nil || len(files) > 0 {
		left = append(left, fmt.Sprintf("files %v in TMPDIR (%v)", files, err))
	}
	if now := mountsHere(t); now != r.mounts {
		left = append(left, cmp.Diff(r.mounts, now))
	}
	if r.program != 0 {
		if p, err := ebpf.NewProgramFromID(r.program); err == nil {
			p.Close()
			left = append(left, fmt.Sprintf("program %d", r.program))
		}
	}
	if len(left) == 0 { // else there is no hurry
		if rules := r.rules(t); rules != "" {
			left = append(left, "rules:\n"+rules)
		}
	}
	return strings.Join(left, ", ")
}

// rules are all rules here, if some of the run's are among them.
func (r *stepRun) rules(t *testing.T) string {
	t.Helper()
	if r.way.lane != IPTables {
		return ""
	}
	saved := savedRules(t)
	if !strings.Contains(saved, fmt.Sprintf("%s%d-", chainPrefix, r.cmd.Process.Pid)) {
		return ""
	}
	return saved
}

// nothing fails the test unless all of the run goes within a time.
func (r *stepRun) nothing(t *testing.T, when string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var left string
	for late := time.Now().Add(5 * time.Second); time.Now().Before(late); <-tick.C {
		if left = r.left(t); left == "" {
			return
		}
	}
	t.Errorf("%s there is left: %s", when, left)
}

// cutOff fails the test if what lives of the target has a network.
func (r *stepRun) cutOff(t *testing.T) {
	t.Helper()
	io.WriteString(r.ask, "\n")
	line, err := r.said.ReadString('\n') // its end, if nobody lives
	if err == nil && line != "connected false\n" {
		t.Errorf("with both dead the target says %q; want no connection", line)
	}
}

// TestStepsAreReached holds the list of steps: each lane comes by all of its
// own, in their order, and leaves nothing.
func TestStepsAreReached(t *testing.T) {
	for _, w := range stepWays() {
		t.Run(w.name, func(t *testing.T) {
			w.enter(t)
			r := w.start(t, cgroupHere(t), "all", "ends")
			b, err := io.ReadAll(r.report)
			if err != nil {
				t.Fatal(err)
			}
			r.cmd.Wait()
			var want []string
			for _, s := range w.lane.Steps() {
				want = append(want, string(s))
			}
			if diff := cmp.Diff(want, strings.Fields(string(b))); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			r.nothing(t, "at the end")
		})
	}
}

// TestStepsKilled kills who is there at each step of each lane, and finds
// nothing left but what invariant 2 (ARCHITECTURE.md) lets be.
func TestStepsKilled(t *testing.T) {
	for _, w := range stepWays() {
		t.Run(w.name, func(t *testing.T) {
			requireRoot(t)
			t.Parallel()
			ns := w.enter(t)
			for _, s := range w.lane.Steps() {
				for _, v := range allDoomed() {
					if !v.there(w.lane, s) {
						continue
					}
					t.Run(string(s)+" "+v.name, func(t *testing.T) {
						runtime.LockOSThread() // never unlocked
						if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
							t.Fatal(err)
						}
						w.killed(t, s, v)
					})
				}
			}
		})
	}
}

// killed kills v at s.
func (w stepWay) killed(t *testing.T, s Step, v doomed) {
	stays := "ends"
	if s.within(w.lane, Started, Ended) {
		stays = "stays"
	}
	r := w.start(t, cgroupHere(t), string(s), stays)
	r.reach(t)
	r.kill(t, v)
	r.goOn.Close()
	alone := v.parent && r.init == 0
	if v.parent && v.init || alone {
		r.cutOff(t)
	}
	r.cmd.Wait()
	switch {
	case alone && w.unattended(s):
		if pids, rules := processes(r.dir), r.rules(t); len(pids) > 0 || rules != "" {
			t.Errorf("processes %v and rules are left:\n%s", pids, rules)
		}
		r.next(t)
	case v.parent && v.init:
		r.next(t)
	default:
		r.nothing(t, "after the kill")
	}
}

// unattended says whether at s the target's cgroup is there and init is not.
func (w stepWay) unattended(s Step) bool {
	return w.cgroups() && (s == Enclosed || s == Gone || s == Ruled && w.lane == EBPF)
}

// next starts a diversion beside what is left of r, and expects that it reaps it.
func (r *stepRun) next(t *testing.T) {
	t.Helper()
	if !r.way.cgroups() {
		for _, pid := range processes(r.dir) { // nobody knows them any more
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	if r.left(t) == "" {
		return
	}
	n := r.way.start(t, r.dir, "none", "ends")
	n.cmd.Wait()
	r.nothing(t, "after the next start")
}
