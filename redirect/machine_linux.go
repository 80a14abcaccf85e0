package redirect

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Inspect looks at what lanes need. init is as Target.Init. Where looking does
// not tell it tries: it makes a cgroup and a user namespace, and undoes them.
func Inspect(ctx context.Context, init []string) Machine {
	m := Machine{Kernel: kernelRelease(), UID: os.Getuid()}
	initial := inInitialNamespace()
	all := capable(unix.CAP_SYS_ADMIN) && capable(unix.CAP_NET_ADMIN) && capable(unix.CAP_SETUID)
	m.Root, m.Contained = all && initial, all && !initial
	m.Admin = capable(unix.CAP_NET_ADMIN)
	m.BPF = m.Admin && initial && (capable(unix.CAP_BPF) || capable(unix.CAP_SYS_ADMIN))
	status := processStatus()
	namespaces := inspectNamespaces(init)
	m.Namespaces = namespaces.OK
	m.Needs = []Need{
		inspectCapabilities(initial, status["NoNewPrivs"] == "1"),
		inspectCgroup(ctx),
		namespaces,
		inspectSeccomp(status["Seccomp"]),
		inspectAppArmor(m.Root),
		inspectIPTables(),
	}
	return m
}

// kernelRelease is that of uname(2).
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// processStatus is /proc/self/status, by field.
func processStatus() map[string]string {
	b, _ := os.ReadFile("/proc/self/status")
	fields := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// inInitialNamespace says whether our user namespace is the first one, in
// which all ids are themselves: user_namespaces(7).
func inInitialNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

// inspectCapabilities says which of those that lanes use are in effect, and
// whether they are in the initial user namespace. With stuck none can be had.
func inspectCapabilities(initial, stuck bool) Need {
	n := Need{Name: "capabilities", OK: true, Lanes: []Lane{EBPF, IPTables}}
	var have, lack []string
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{unix.CAP_NET_RAW, "CAP_NET_RAW"}, {unix.CAP_SETGID, "CAP_SETGID"}} {
		if capable(c.bit) {
			have = append(have, c.name)
		} else {
			lack = append(lack, c.name)
		}
	}
	n.Found = strings.Join(have, " ")
	if len(lack) > 0 {
		n.OK = false
		n.Found = strings.TrimSpace(n.Found + "; missing " + strings.Join(lack, " "))
		n.Found = strings.TrimPrefix(n.Found, "; ")
		n.Hint = "start with sudo, or once: sudo setcap cap_bpf,cap_net_admin+ep " + executable()
	}
	if !initial {
		n.OK = false
		n.Found += "; in a user namespace, so not for bpf(2)"
		n.Hint = "for the ebpf lane start outside of the container"
	}
	if stuck && !n.OK {
		n.Found += "; no_new_privs is set"
		n.Hint = "sudo and setcap have no effect here: start where no_new_privs is not set (systemd: NoNewPrivileges=no; docker: no --security-opt no-new-privileges)"
	}
	return n
}

// inspectCgroup makes a cgroup where the ebpf lane would, and removes it.
func inspectCgroup(ctx context.Context) Need {
	n := Need{Name: "cgroup v2", Lanes: []Lane{EBPF}}
	own, err := ownCgroup()
	if err == nil {
		var made string
		if made, err = makeCgroup(own); err == nil {
			err = removeCgroup(ctx, made)
		}
	}
	if err != nil {
		return n.missing(err)
	}
	n.OK, n.Found = true, "one can be made in "+own
	return n
}

// missing is n with why it is not there.
func (n Need) missing(err error) Need {
	n.Found = strings.TrimPrefix(err.Error(), ErrUnsupported.Error()+": ")
	var h *HintError
	if errors.As(err, &h) {
		n.Hint = h.Hint
	}
	return n
}

// inspectNamespaces has init started in a user namespace, where it finds that
// nobody told it anything and ends.
func inspectNamespaces(init []string) Need {
	n := Need{Name: "user namespaces", Lanes: []Lane{EBPF, Netns}}
	p := plan{User: true, Private: true}
	if init == nil {
		init = []string{"init"}
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) // as spawnInit does
	proc, err := os.StartProcess("/proc/self/exe", append([]string{os.Args[0]}, init...), &os.ProcAttr{Sys: p.attributes()})
	if err != nil {
		n.Found, n.Hint = namespaceReason(err)
		return n
	}
	proc.Kill()
	proc.Wait()
	n.OK, n.Found = true, "can be made"
	return n
}

// namespaceReason is why a user namespace cannot be made, and what to do.
func namespaceReason(err error) (why, hint string) {
	switch {
	case errors.Is(err, unix.ENOSPC) || setting("user/max_user_namespaces") == "0":
		return "user.max_user_namespaces is " + setting("user/max_user_namespaces"), "sudo sysctl user.max_user_namespaces=15000"
	case setting("kernel/unprivileged_userns_clone") == "0":
		return "kernel.unprivileged_userns_clone is 0", "sudo sysctl kernel.unprivileged_userns_clone=1"
	case errors.Is(err, unix.EUSERS):
		return "they are nested too deep: " + err.Error(), "start further out"
	case errors.Is(err, syscall.EPERM) && processStatus()["Seccomp"] == "2":
		return "a seccomp filter refuses them", seccompHint
	case errors.Is(err, syscall.EPERM):
		return "refused: " + err.Error(), "a chroot or a security module forbids them: start outside of it"
	}
	return err.Error(), ""
}

// setting is the value of a sysctl, "" if there is none.
func setting(path string) string {
	b, _ := os.ReadFile("/proc/sys/" + path)
	return strings.TrimSpace(string(b))
}

// seccompHint is what to do about a seccomp filter.
const seccompHint = "in docker: --security-opt seccomp=unconfined, or a profile that lets unshare, mount, clone3 and bpf pass"

// inspectSeccomp says whether a filter is in force, proc_pid_status(5).
func inspectSeccomp(mode string) Need {
	n := Need{Name: "seccomp", OK: mode != "2", Found: "no filter", Lanes: []Lane{EBPF, Netns, IPTables}}
	if !n.OK {
		n.Found, n.Hint = "a filter is in force, which may refuse bpf, unshare and mount", seccompHint
	}
	return n
}

// inspectAppArmor says whether it takes from a user namespace what it is made
// for: Ubuntu 23.10 and later do for all programs without a profile.
func inspectAppArmor(root bool) Need {
	n := Need{Name: "AppArmor", OK: true, Found: "does not restrict user namespaces", Lanes: []Lane{Netns}}
	if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" && !root {
		n.OK, n.Found = false, "kernel.apparmor_restrict_unprivileged_userns is 1: a user namespace has no capabilities without a profile"
		n.Hint = "give " + executable() + " a profile with \"userns,\", or sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	}
	return n
}

// inspectIPTables looks for the programs of the iptables lane.
func inspectIPTables() Need {
	n := Need{Name: "iptables", Lanes: []Lane{IPTables}}
	for _, name := range []string{"iptables", "ip6tables"} {
		path, err := exec.LookPath(name)
		if err != nil { // an ordinary user's PATH may lack it
			path, err = exec.LookPath("/usr/sbin/" + name)
		}
		if err != nil {
			n.Found, n.Hint = "there is no "+name, "apt-get install iptables"
			return n
		}
		n.Found = strings.TrimPrefix(n.Found+", "+path, ", ")
	}
	n.OK = true
	return n
}
