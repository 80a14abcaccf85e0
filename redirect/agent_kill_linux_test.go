package redirect

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// An agentRun is a run by an agent, to be killed in parts.
type agentRun struct {
	*parentProcess
	agent  *agentProcess
	dir    *os.File // where its cgroup is
	cgroup string
}

// startAgentRun starts one, whose command lingers.
func startAgentRun(t *testing.T) *agentRun {
	t.Helper()
	a := startAgent(t, twoCaps()...)
	r := &agentRun{agent: a, dir: subtree(t, 0)}
	cmd := a.client(t, nobody, r.dir)
	cmd.Args = append(cmd.Args, cmd.Path, "linger")
	r.parentProcess = beginParent(t, cmd)
	all := agentCgroups(r.dir)
	if len(all) != 1 {
		t.Fatalf("cgroups %q; want one", all)
	}
	r.cgroup = all[0]
	if in := processes(r.cgroup); !slices.Contains(in, r.init) || !slices.Contains(in, r.command) || !slices.Contains(in, r.daemon) {
		t.Fatalf("in %s are %v; want init %d, the command %d and its daemon %d", r.cgroup, in, r.init, r.command, r.daemon)
	}
	return r
}

// dial has the command connect, and returns what it says of that.
func (r *agentRun) dial(t *testing.T) string {
	t.Helper()
	r.in.Write([]byte("\n"))
	return r.line(t)
}

// outlive looks at what a kill left, and waits for all of it to end.
func (r *agentRun) outlive(t *testing.T, goesOn, refused bool, waits []func()) {
	t.Helper()
	if goesOn {
		if got := r.dial(t); !strings.HasPrefix(got, "refused false") {
			t.Errorf("dial without the agent: %q; want success", got)
		}
		r.in.Close()
	}
	if refused {
		if got := r.dial(t); !strings.HasPrefix(got, "refused true") {
			t.Errorf("dial with all dead: %q; want a refusal", got)
		}
		startAgentAt(t, r.agent.socket, twoCaps()...)
	}
	for _, wait := range waits {
		wait()
	}
	r.Wait()
}

// TestAgentKill kills the processes of a run by an agent, in all combinations. No
// target outlives its client but where nobody is left to kill it: then it has no
// network, and the next agent ends it.
func TestAgentKill(t *testing.T) {
	const (
		agent = 1 << iota
		client
		init
		command
	)
	for _, c := range []struct {
		name    string
		killed  int
		goesOn  bool // the run does, by itself
		refused bool // the command lives, without a network
		left    bool // an empty cgroup is, until the next agent
	}{
		{name: "client", killed: client},
		{name: "init", killed: init},
		{name: "command", killed: command},
		{name: "client and init", killed: client | init},
		{name: "agent", killed: agent, goesOn: true, left: true},
		{name: "agent and client", killed: agent | client, left: true},
		{name: "agent and init", killed: agent | init, left: true},
		{name: "agent and command", killed: agent | command, left: true},
		{name: "agent, client and init", killed: agent | client | init, refused: true, left: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			r := startAgentRun(t)
			if got := r.dial(t); !strings.HasPrefix(got, "refused false") {
				t.Fatalf("dial before the kill: %q; want success", got)
			}
			waits := []func(){deathOf(t, "init", r.init), deathOf(t, "command", r.command), deathOf(t, "daemon", r.daemon)}
			var pids []int
			for bit, pid := range map[int]int{agent: r.agent.Process.Pid, client: r.Process.Pid, init: r.init, command: r.command} {
				if c.killed&bit != 0 {
					pids = append(pids, pid)
				}
			}
			killAtOnce(t, pids...)
			if c.killed&agent != 0 {
				r.agent.Wait()
			}
			r.outlive(t, c.goesOn, c.refused, waits)
			if c.left && !c.refused {
				if _, err := os.Stat(r.cgroup); err != nil {
					t.Errorf("%s: %v; who removed it?", r.cgroup, err)
				}
				startAgentAt(t, r.agent.socket, twoCaps()...)
			}
			eventually(t, r.cgroup+" is left", func() bool { _, err := os.Stat(r.cgroup); return err != nil })
		})
	}
}

// TestAgentAdopts has an agent killed and another take its place: the run that is
// in force goes on, and what it leaves is removed when it ends.
func TestAgentAdopts(t *testing.T) {
	isolate(t)
	r := startAgentRun(t)
	r.agent.Process.Kill()
	r.agent.Wait()
	next := startAgentAt(t, r.agent.socket, twoCaps()...)
	if got := r.dial(t); !strings.HasPrefix(got, "refused false") {
		t.Errorf("dial by another agent: %q; want success", got)
	}
	r.in.Close()
	if err := r.Wait(); err != nil {
		t.Errorf("the run ends with %v", err)
	}
	eventually(t, r.cgroup+" is left", func() bool { _, err := os.Stat(r.cgroup); return err != nil })
	eventually(t, "the next agent says nothing of it", func() bool { // it is said after it is done
		return strings.Contains(next.said(t), `msg="stale cgroup removed" cgroup=`+r.cgroup)
	})
}

// TestAgentStops has an agent told to end, by SIGTERM: the run goes on.
func TestAgentStops(t *testing.T) {
	isolate(t)
	r := startAgentRun(t)
	r.agent.stop(t)
	if got := r.dial(t); !strings.HasPrefix(got, "refused false") {
		t.Errorf("dial after the agent's end: %q; want success", got)
	}
	r.in.Close()
	if err := r.Wait(); err != nil {
		t.Errorf("the run ends with %v", err)
	}
	startAgentAt(t, r.agent.socket, twoCaps()...)
	eventually(t, r.cgroup+" is left", func() bool { _, err := os.Stat(r.cgroup); return err != nil })
}

// TestTwoAgents has a second one on the same socket, which says who is the first.
func TestTwoAgents(t *testing.T) {
	isolate(t)
	a := startAgent(t)
	l, err := ListenAgent(a.socket)
	if err == nil {
		l.Close()
		t.Fatal("two agents listen")
	}
	if want := "is in use by process "; !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
}
