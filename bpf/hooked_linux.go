package bpf

import (
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Hooked says whether programs of this package act on cgroup: they are attached
// to it or to one above. Without CAP_SYS_ADMIN nobody is told, and it is false.
func Hooked(cgroup *os.File) bool {
	all, err := link.QueryPrograms(link.QueryOptions{
		Target:     int(cgroup.Fd()),
		Attach:     ebpf.AttachCGroupInet4Connect,
		QueryFlags: queryEffective,
	})
	if err != nil {
		return false
	}
	for _, p := range all.Programs {
		if named(p.ID, divertProgDivertConnect4) {
			return true
		}
	}
	return false
}

// queryEffective is BPF_F_QUERY_EFFECTIVE, include/uapi/linux/bpf.h: what is
// attached above counts too.
const queryEffective = 1

// named says whether the program id is called name, of which the kernel keeps
// the first 15 letters (BPF_OBJ_NAME_LEN).
func named(id ebpf.ProgramID, name string) bool {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return false // gone meanwhile, or we may not look
	}
	defer p.Close()
	info, err := p.Info()
	return err == nil && info.Name == name[:min(len(name), 15)]
}
