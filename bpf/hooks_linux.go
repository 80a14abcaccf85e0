package bpf

import (
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// AttachForLife hooks the sockets made in cgroup and below until the cgroup is
// removed: neither Close nor our end detaches, and nobody without CAP_NET_ADMIN
// can. There are no links to hold. What was attached before an error stays so.
func (h *Hooks) AttachForLife(cgroup *os.File) error {
	return h.each(cgroup, func(p *ebpf.Program, at ebpf.AttachType) error {
		return link.RawAttachProgram(link.RawAttachProgramOptions{
			Target:  int(cgroup.Fd()),
			Program: p,
			Attach:  at,
			Flags:   unix.BPF_F_ALLOW_MULTI, // beside the programs of systemd and others, as links are
		})
	})
}
