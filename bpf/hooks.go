package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Hooks are programs in the kernel. They act on the cgroups they are attached
// to, and below, until every descriptor of their links is closed, ours and the
// copies that others inherited. Safe for concurrent use but for Attach and Close.
type Hooks struct {
	objects divertObjects
	attach  map[string]ebpf.AttachType
	links   []*link.RawLink
}

// Load puts the programs into the kernel, attached to nothing yet.
func Load(c Config) (*Hooks, error) {
	s, err := spec(c)
	if err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	h := &Hooks{attach: make(map[string]ebpf.AttachType)}
	if err := s.LoadAndAssign(&h.objects, nil); err != nil {
		return nil, fmt.Errorf("bpf: load: %w", err)
	}
	for name, p := range s.Programs {
		h.attach[name] = p.AttachType
	}
	return h, nil
}

// Attach hooks the sockets made in cgroup and below. What was attached before
// an error stays so until Close.
func (h *Hooks) Attach(cgroup *os.File) error {
	// connect last: it must not divert before the rest can say where to.
	for _, p := range []struct {
		name    string
		program *ebpf.Program
	}{
		{divertProgDivertSockops, h.objects.DivertSockops},
		{divertProgDivertEgress, h.objects.DivertEgress},
		{divertProgDivertSetsockopt, h.objects.DivertSetsockopt},
		{divertProgDivertGetpeername4, h.objects.DivertGetpeername4},
		{divertProgDivertGetpeername6, h.objects.DivertGetpeername6},
		{divertProgDivertRecvmsg4, h.objects.DivertRecvmsg4},
		{divertProgDivertRecvmsg6, h.objects.DivertRecvmsg6},
		{divertProgDivertSendmsg4, h.objects.DivertSendmsg4},
		{divertProgDivertSendmsg6, h.objects.DivertSendmsg6},
		{divertProgDivertConnect4, h.objects.DivertConnect4},
		{divertProgDivertConnect6, h.objects.DivertConnect6},
	} {
		l, err := link.AttachRawLink(link.RawLinkOptions{
			Target:  int(cgroup.Fd()),
			Program: p.program,
			Attach:  h.attach[p.name],
		})
		if err != nil {
			return fmt.Errorf("bpf: attach %s to %s: %w", p.name, cgroup.Name(), err)
		}
		h.links = append(h.links, l)
	}
	return nil
}

// Links returns the descriptors that keep the programs attached. They stay
// ours: whoever is to hold them is given copies.
func (h *Hooks) Links() []int {
	fds := make([]int, len(h.links))
	for i, l := range h.links {
		fds[i] = l.FD()
	}
	return fds
}

// An Origin is what a diverted socket asked for, and who asked.
type Origin struct {
	Dst    netip.AddrPort
	PID    int // as the initial pid namespace counts
	UID    int // as the initial user namespace counts
	Cgroup uint64
}

// Original takes out what the client of an accepted connection asked for. It
// returns false for a client that was not diverted: it connected to us itself.
func (h *Hooks) Original(client, listener netip.AddrPort) (Origin, bool, error) {
	key := divertTuple{
		Client:     words(client.Addr()),
		ClientPort: client.Port(),
		Listener:   listener.Port(),
	}
	var o divertOrigin
	err := h.objects.ByTuple.LookupAndDelete(&key, &o)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return Origin{}, false, nil
	}
	if err != nil {
		return Origin{}, false, fmt.Errorf("bpf: original destination of %s: %w", client, err)
	}
	return Origin{Dst: o.Dst.addrPort(), PID: int(o.Pid), UID: int(o.Uid), Cgroup: o.Cgroup}, true, nil
}

// Queried returns which name server a datagram was sent to that arrived at at,
// one of our packet sockets, and false if it was not diverted there.
func (h *Hooks) Queried(at netip.AddrPort) (netip.AddrPort, bool, error) {
	key := uint32(at.Port())
	if a := at.Addr().Unmap(); a.Is4() {
		b := a.As4()
		key = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	var d divertDestination
	err := h.objects.Queried.Lookup(&key, &d)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return netip.AddrPort{}, false, nil
	}
	if err != nil {
		return netip.AddrPort{}, false, fmt.Errorf("bpf: name server behind %s: %w", at, err)
	}
	return d.addrPort(), true, nil
}

// Why says why a packet or a connect was refused.
type Why uint8

// The reasons, as divert.h numbers them.
const (
	QUIC     Why = 1 // UDP port 443
	Hermetic Why = 2
)

// An Escape is what was tried and refused, and how often.
type Escape struct {
	Dst      netip.AddrPort // port 0 where the protocol has none
	Protocol uint8          // IPPROTO_*
	Why      Why
	Count    uint64 // packets, or connects
}

// Escapes returns what was refused since Load, in no order; of more than a
// thousand the ones counted longest ago are forgotten.
func (h *Hooks) Escapes() ([]Escape, error) {
	var all []Escape
	var key divertEscape
	var n uint64
	it := h.objects.Escapes.Iterate()
	for it.Next(&key, &n) {
		all = append(all, Escape{Dst: key.Dst.addrPort(), Protocol: key.Protocol, Why: Why(key.Why), Count: n})
	}
	if err := it.Err(); err != nil {
		return all, fmt.Errorf("bpf: read what was refused: %w", err)
	}
	return all, nil
}

// A Talk is a destination on loopback that was left alone.
type Talk struct {
	Dst      netip.AddrPort
	Protocol uint8 // IPPROTO_TCP or IPPROTO_UDP
	// Made counts connections established by the hooked cgroup, and datagrams
	// and connects of UDP; Accepted the connections that it accepted there. Of
	// two that are equal nobody outside took part.
	Made, Accepted uint64
}

// Talks returns what was talked to on loopback since Load, in no order; of more
// than a thousand the ones used longest ago are forgotten.
func (h *Hooks) Talks() ([]Talk, error) {
	var all []Talk
	var key divertTalk
	var n divertTalked
	it := h.objects.Talks.Iterate()
	for it.Next(&key, &n) {
		all = append(all, Talk{Dst: key.Dst.addrPort(), Protocol: key.Protocol, Made: n.Made, Accepted: n.Accepted})
	}
	if err := it.Err(); err != nil {
		return all, fmt.Errorf("bpf: read what was talked to: %w", err)
	}
	return all, nil
}

// Close detaches and frees everything that no copy of a link keeps. Twice is no error.
func (h *Hooks) Close() error {
	var errs []error
	for _, l := range h.links {
		errs = append(errs, l.Close())
	}
	h.links = nil
	return errors.Join(append(errs, h.objects.Close())...)
}
