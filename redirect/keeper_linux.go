package redirect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A keepPlan is what a keeper is told at birth.
type keepPlan struct {
	Owner   string // whose attached cgroups it is to empty: its parent, as ownerName has it
	Network string // a path to the target's network namespace; "": ours
}

// keeper is init where the target runs already. It is born in the target's
// cgroup, as that is where a probe's socket must be made, and leaves it at once.
// Then it waits, to have the target as it was if its parent is killed.
type keeper struct {
	*helper
	cover *coverage // what is mounted in the target's mount namespace; nil: nothing
}

// run is the keeper's life. It returns the exit code.
func (k *keeper) run() int {
	signals, stop := catch() // the parent's to act on: those to its group come here too
	defer stop()
	m := message{Kind: msgProbed}
	err := errors.Join(k.probe(), k.leave())
	if err != nil {
		m.Err = err.Error()
	}
	if err := errors.Join(err, send(k.ctl, m)); err != nil {
		return 1
	}
	go k.listen()
	go k.watchParent()
	for {
		select {
		case m := <-k.messages:
			if m.Kind == msgStop {
				return k.stop()
			}
			k.obey(m)
		case <-k.orphaned:
			k.undo()
			return 1
		case <-signals:
		}
	}
}

// probe connects from inside the target.
func (k *keeper) probe() error {
	d := net.Dialer{Timeout: birthPatience}
	if k.plan.Keep.Network != "" {
		ns, err := os.Open(k.plan.Keep.Network)
		if err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		defer ns.Close()
		d.Control = madeIn(ns)
	}
	c, err := d.Dial("tcp4", k.plan.Probe)
	if err != nil {
		return err
	}
	return c.Close()
}

// leave goes where our parent lives.
func (k *keeper) leave() error {
	if err := os.WriteFile(filepath.Join(k.plan.Outside, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("leave the target's cgroup: %w", err)
	}
	return nil
}

// obey takes over what is to be uncovered, and says when it has it.
func (k *keeper) obey(m incoming) {
	if m.Kind != msgCover {
		return
	}
	answer := message{Kind: msgCover}
	c, err := receiveCoverage(m.files)
	if err != nil {
		answer.Err = err.Error()
	}
	k.cover = c
	send(k.ctl, answer) // the parent gone: then watchParent knows
}

// stop is the orderly end: the parent has moved the target back.
func (k *keeper) stop() int {
	m := message{Kind: msgEnded}
	if err := k.cover.undo(); err != nil {
		m.Err = err.Error()
	}
	send(k.ctl, m)
	return 0
}

// undo is the end without the parent. Its hooks are gone with it.
func (k *keeper) undo() {
	k.cover.undo()
	root, err := cgroupRoot()
	if err != nil {
		return // it was there when we were born
	}
	giveBackAll(root, func(owner string) bool {
		return owner == k.plan.Keep.Owner || strings.HasPrefix(owner, k.plan.Keep.Owner+"-")
	})
}

// keeperProcess is the parent's end of a keeper.
type keeperProcess struct {
	*initProcess
	answers chan message
	lost    chan struct{} // closed when the keeper is gone
	err     error         // of its undoing; read after lost
}

// newKeeper watches i, which has probed.
func newKeeper(i *initProcess) *keeperProcess {
	k := &keeperProcess{initProcess: i, answers: make(chan message), lost: make(chan struct{})}
	i.used.Store(true) // it runs no command, and we reap it
	i.wait.Go(k.watch)
	return k
}

// watch reads what the keeper says until it is gone.
func (k *keeperProcess) watch() {
	defer close(k.lost)
	for {
		m, _, err := receive(k.ctl)
		if err != nil {
			break
		}
		if m.Kind == msgEnded {
			if m.Err != "" {
				k.err = errors.New(m.Err)
			}
			continue
		}
		k.answers <- m // cover waits for it
	}
	k.proc.Wait()
}

// hand gives c to the keeper, which acts on it if we are killed.
func (k *keeperProcess) hand(c *coverage) error {
	told, err := sealed(c.wire)
	if err != nil {
		return err
	}
	defer told.Close()
	if err := send(k.ctl, message{Kind: msgCover}, told, c.space, c.root); err != nil {
		return fmt.Errorf("tell the keeper: %w", err)
	}
	late := time.NewTimer(birthPatience)
	defer late.Stop()
	select {
	case m := <-k.answers:
		if m.Err != "" {
			return fmt.Errorf("keeper: %s", m.Err)
		}
		return nil
	case <-k.lost:
		return errKeeperLost
	case <-late.C:
		return fmt.Errorf("tell the keeper: %w", unix.ETIMEDOUT)
	}
}
