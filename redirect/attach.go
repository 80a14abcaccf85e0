package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// A Place is where a target that runs already lives, as its first process sees
// it.
type Place struct {
	PID  int    // that process; zero for a cgroup that is empty: then the place is ours
	Root string // its file system for us: "/", or below /proc
	// Network says that it has a network namespace of its own. Its loopback is
	// not ours, so we listen in there.
	Network bool
	// Mounts says that it has a mount namespace of its own: no process outside
	// of the target sees what is mounted in it.
	Mounts bool
}

// An Unseen is a socket that the target made before it was attached to, and
// whose traffic therefore is not diverted.
type Unseen struct {
	Protocol string         // "tcp" or "udp"
	Peer     netip.AddrPort // the zero AddrPort if it is not connected
	PID      int            // one of those who have it
	Command  string         // that process's name
}

// An Attached is what the Diversion of a target has that ran before it, and goes
// on after it. Its methods are safe for concurrent use.
type Attached struct {
	place   Place
	unseen  []Unseen
	left    []int
	mount   func([]Mount) error
	control control
	gone    <-chan struct{} // closed when there is nothing left to divert
	lost    <-chan struct{} // closed when the keeper is gone
	closed  <-chan struct{} // Diversion.closed
}

// control is a net.Dialer's or net.ListenConfig's Control.
type control = func(network, address string, c syscall.RawConn) error

// Attached returns what a Diversion has whose Target ran already, nil if its
// target is a command.
func (d *Diversion) Attached() *Attached { return d.attached }

// Place returns where the target lives.
func (a *Attached) Place() Place { return a.place }

// Unseen returns the sockets that are not diverted: the connections that were
// established or under way, and, where the target was moved (Target.PID), all
// that it had made. They are ordered by protocol and peer.
func (a *Attached) Unseen() []Unseen { return a.unseen }

// Left returns the descendants of Target.PID that were not moved, as they live
// in another network namespace: our listeners are not in it.
func (a *Attached) Left() []int { return a.left }

// Mount has the target see mounts until Close, which all are of the kinds that
// cover or replace what is there. It needs Place.Mounts. The host's resolvers
// that work without a packet, nscd and systemd-resolved, are hidden as well. On
// error nothing is mounted.
func (a *Attached) Mount(mounts []Mount) error { return a.mount(mounts) }

// Control has a net.Dialer connect from the target's network namespace, by which
// it reaches what the target reaches. Nil, as a Dialer's zero value has it,
// where that is ours.
func (a *Attached) Control() func(network, address string, c syscall.RawConn) error { return a.control }

// Wait waits until the target is gone: the processes that were moved have
// ended, or the cgroup was removed. The error is that of ctx, net.ErrClosed
// after Close, or that the keeper was killed: then the Diversion is to be
// closed, as nobody would undo it if we are killed too.
func (a *Attached) Wait(ctx context.Context) error {
	select {
	case <-a.gone:
		return nil
	case <-a.closed:
	case <-a.lost:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-a.closed: // which ends the keeper
		return fmt.Errorf("redirect: detached: %w", net.ErrClosed)
	default:
		return errKeeperLost
	}
}

// errKeeperLost is what Wait returns when nobody would undo what we did.
var errKeeperLost = errors.New("redirect: the process that keeps the target's state was killed")
