package redirect

import (
	"fmt"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// dropped are the capabilities with which a command could undo its diversion
// or go around it: edit rules and links, send raw packets, mount, load programs;
// have processes outside act for it or lend it their view of the cgroups, as
// /proc/1/root does; and open a cgroup that it does not see, by
// open_by_handle_at(2), which is all that CAP_DAC_READ_SEARCH gives to who has
// CAP_DAC_OVERRIDE.
func dropped() []int {
	return []int{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON,
		unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}
}

// capSets are the calling thread's capability sets, low words first.
func capSets() ([2]unix.CapUserData, error) {
	var data [2]unix.CapUserData
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&h, &data[0]); err != nil {
		return data, fmt.Errorf("capget: %w", err)
	}
	return data, nil
}

// capable says whether the calling thread has the capability c in effect.
func capable(c int) bool {
	data, err := capSets()
	return err == nil && data[c/32].Effective&(1<<(c%32)) != 0
}

// lend calls f, and has programs that it starts from its own goroutine inherit
// those of caps that we have: an ordinary user's do not, where ours come from
// our file (capabilities(7), ambient).
func lend(f func() error, caps ...int) error {
	if os.Geteuid() == 0 {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	data, err := capSets()
	if err != nil {
		return err
	}
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	raised := data
	for _, c := range caps {
		raised[c/32].Inheritable |= raised[c/32].Permitted & (1 << (c % 32))
	}
	if err := unix.Capset(&h, &raised[0]); err != nil {
		return fmt.Errorf("inherit capabilities: %w", err)
	}
	// Those that are not inheritable any more are not ambient either.
	defer unix.Capset(&h, &data[0])
	for _, c := range caps {
		if raised[c/32].Inheritable&(1<<(c%32)) == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("inherit capability %d: %w", c, err)
		}
	}
	return f()
}

// keepGroups keeps the calling thread, and what it executes, from changing its
// groups: it takes CAP_SETGID, and where a setuid program would have it again,
// the effect of setuid too. The thread must be locked.
func keepGroups() error {
	if capable(unix.CAP_SETPCAP) {
		return dropEach(false, []int{unix.CAP_SETGID})
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return dropEach(false, []int{unix.CAP_SETGID})
}

// dropCaps takes from the calling thread, and so from what it executes, the
// dropped capabilities; all ambient ones too if every is set. The thread must
// be locked. Without CAP_SETPCAP the bounding set stays: then only a program
// with file capabilities, or setuid root, has them again. Those of late, for
// which CAP_SETPCAP is needed, it loses with the next execve(2) only.
func dropCaps(every bool, late ...int) error { return dropEach(every, dropped(), late...) }

// dropEach is dropCaps for some capabilities.
func dropEach(every bool, some []int, late ...int) error {
	data, err := capSets()
	if err != nil {
		return err
	}
	setpcap := data[unix.CAP_SETPCAP/32].Effective&(1<<(unix.CAP_SETPCAP%32)) != 0
	if every {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			return fmt.Errorf("clear ambient capabilities: %w", err)
		}
		data[0].Inheritable, data[1].Inheritable = 0, 0
	}
	for _, c := range some {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("lower ambient capability %d: %w", c, err)
		}
		if setpcap {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
				return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
			}
		}
		data[c/32].Inheritable &^= 1 << (c % 32)
		if setpcap && slices.Contains(late, c) {
			continue
		}
		data[c/32].Permitted &^= 1 << (c % 32)
		data[c/32].Effective &^= 1 << (c % 32)
	}
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&h, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}
