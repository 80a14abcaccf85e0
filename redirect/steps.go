package redirect

import "sync/atomic"

// A Step is a point that a diversion comes by, of start-up, of the run or of
// shutdown. Whoever of parent, init and command is killed at one, nothing is left,
// as long as the parent or init lives on. At those at which the target's cgroup is
// there and init is not (Enclosed, in the ebpf lane Ruled, and Gone) a killed
// parent leaves that cgroup, empty; the next Start removes it.
type Step string

// The steps, in the order of most lanes; [Lane.Steps] has each lane's own. Who is
// at it stands first: the parent, which is the process that calls Start, or init.
const (
	// Opened: the parent's sockets listen.
	Opened Step = "opened"
	// Enclosed: the parent has made the cgroup that tells the target, or chosen
	// the group that does; in the netns lane the cgroup by which it is killed.
	Enclosed Step = "enclosed"
	// Ruled: the parent has the kernel divert what the target will send.
	Ruled Step = "ruled"
	// Born: the parent has started init.
	Born Step = "born"
	// Hidden: init has hidden the host's resolvers, where it can mount.
	Hidden Step = "hidden"
	// Networked: init has made the network namespace, its sockets and its rules.
	Networked Step = "networked"
	// Served: the parent serves the sockets that init made.
	Served Step = "served"
	// Probed: init has connected from inside the target.
	Probed Step = "probed"
	// Armed: the probe has arrived at the parent. Start returns.
	Armed Step = "armed"
	// Asked: the parent has handed the command to init. Run goes on.
	Asked Step = "asked"
	// Mounted: init has mounted what the command is to see.
	Mounted Step = "mounted"
	// Started: init has started the command.
	Started Step = "started"
	// Running: the parent knows that the command runs. Run returns.
	Running Step = "running"
	// Ended: init knows how the command ended. What it started may run yet.
	Ended Step = "ended"
	// Cleared: init has killed what the command left behind.
	Cleared Step = "cleared"
	// Told: the parent knows how the command ended. Wait returns.
	Told Step = "told"
	// Closing: the parent has begun to Close.
	Closing Step = "closing"
	// Unruled: the parent has removed its rules.
	Unruled Step = "unruled"
	// Gone: init is gone, as the parent asked it to.
	Gone Step = "gone"
	// Undone: the kernel is as Start found it. Close returns.
	Undone Step = "undone"
)

// Steps returns the steps of a diversion by l of a command that runs and ends by
// itself, in order. Where a lane has to try another way, as without a mount
// namespace, some come again; an agent's diversion has none.
func (l Lane) Steps() []Step {
	run := []Step{Probed, Armed, Asked, Mounted, Started, Running, Ended, Cleared, Told, Closing}
	switch l {
	case EBPF:
		return append(append([]Step{Opened, Enclosed, Ruled, Born, Hidden}, run...), Gone, Undone)
	case Netns:
		return append(append([]Step{Enclosed, Born, Hidden, Networked, Served}, run...), Gone, Undone)
	case IPTables:
		return append(append([]Step{Opened, Enclosed, Born, Hidden, Ruled}, run...), Unruled, Gone, Undone)
	}
	return nil
}

// A trace tells Target.Reached how far a diversion is. A nil one tells nobody.
type trace struct {
	tell          func(s Step, init, command int)
	init, command atomic.Int64 // pids, 0 where there is none
}

// traceOf is that of t, nil if nobody asks.
func traceOf(t Target) *trace {
	if t.Reached == nil || t.runs() {
		return nil
	}
	return &trace{tell: t.Reached}
}

// reached tells that the diversion is at s.
func (t *trace) reached(s Step) {
	if t != nil {
		t.tell(s, int(t.init.Load()), int(t.command.Load()))
	}
}

// born tells that init is this process.
func (t *trace) born(init int) {
	if t != nil {
		t.init.Store(int64(init))
		t.reached(Born)
	}
}

// buried tells that init is no more.
func (t *trace) buried() {
	if t != nil {
		t.init.Store(0)
		t.reached(Gone)
	}
}
