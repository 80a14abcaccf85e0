package redirect

// told passes on the step that init is at, and has it go on.
func (i *initProcess) told(m message) {
	switch m.Step {
	case Started:
		i.trace.command.Store(int64(m.PID))
	case Ended:
		i.trace.command.Store(0)
	}
	i.trace.reached(m.Step)
	send(i.ctl, message{Kind: msgStep}) // init gone: the next read tells
}

// reached has the parent tell that init is at s, and waits until it has, or is
// gone: what init does then it does anyhow.
func (h *helper) reached(s Step) {
	if !h.plan.Traced || send(h.ctl, message{Kind: msgStep, Step: s, PID: h.pid}) != nil {
		return
	}
	select {
	case <-h.resumed:
	case <-h.dismissed:
	case <-h.orphaned:
	}
}
