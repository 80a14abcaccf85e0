package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Hooks are programs in the kernel. They act on the cgroups they are attached
// to, and below: by Attach until every descriptor of their links is closed, ours
// and the copies that others inherited, by AttachForLife while the cgroup is. Safe for
// concurrent use but for Attach, Detach and Close.
type Hooks struct {
	Maps
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
	h.Maps = Maps{byTuple: h.objects.ByTuple, queried: h.objects.Queried, refused: h.objects.Escapes, talks: h.objects.Talks}
	for name, p := range s.Programs {
		h.attach[name] = p.AttachType
	}
	return h, nil
}

// Attach hooks the sockets made in cgroup and below. What was attached before
// an error stays so until Close.
func (h *Hooks) Attach(cgroup *os.File) error {
	return h.each(cgroup, func(p *ebpf.Program, at ebpf.AttachType) error {
		l, err := link.AttachRawLink(link.RawLinkOptions{Target: int(cgroup.Fd()), Program: p, Attach: at})
		if err == nil {
			h.links = append(h.links, l)
		}
		return err
	})
}

// each calls attach for every program.
func (h *Hooks) each(cgroup *os.File, attach func(*ebpf.Program, ebpf.AttachType) error) error {
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
		{divertProgDivertGetsockname4, h.objects.DivertGetsockname4},
		{divertProgDivertGetsockname6, h.objects.DivertGetsockname6},
		{divertProgDivertRecvmsg4, h.objects.DivertRecvmsg4},
		{divertProgDivertRecvmsg6, h.objects.DivertRecvmsg6},
		{divertProgDivertSendmsg4, h.objects.DivertSendmsg4},
		{divertProgDivertSendmsg6, h.objects.DivertSendmsg6},
		{divertProgDivertConnect4, h.objects.DivertConnect4},
		{divertProgDivertConnect6, h.objects.DivertConnect6},
	} {
		if err := attach(p.program, h.attach[p.name]); err != nil {
			return fmt.Errorf("bpf: attach %s to %s: %w", p.name, cgroup.Name(), err)
		}
	}
	return nil
}

// Detach ends what Attach did, as far as no copy of a link keeps it. What the
// programs counted stays readable. Twice is no error.
func (h *Hooks) Detach() error {
	var errs []error
	for _, l := range h.links {
		errs = append(errs, l.Close())
	}
	h.links = nil
	return errors.Join(errs...)
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

// Close detaches and frees everything that no copy of a link keeps. Twice is no error.
func (h *Hooks) Close() error {
	return errors.Join(h.Detach(), h.objects.Close())
}
