package redirect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsError says what keeps us from a network namespace, and what to do.
func netnsError(err error) error {
	var hinted *HintError
	if errors.As(err, &hinted) {
		return err
	}
	why, hint := obstacle(err, kernelSetting)
	if why == "" {
		return err
	}
	return &HintError{Err: fmt.Errorf("%w: %s: %w", ErrUnsupported, why, err), Hint: hint}
}

// obstacle is what err, from making the namespaces or in them, comes from, by
// the kernel's settings; "" if they do not tell.
func obstacle(err error, setting func(string) string) (why, hint string) {
	refused := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, errDenied)
	rules := strings.Contains(err.Error(), "nftables") // init tells by words
	switch {
	case rules && refused: // comes last: all else was allowed
		return "this kernel lets nobody in a user namespace make such rules", "start with sudo: root needs no user namespace"
	case rules:
		return "this kernel has no nftables", "sudo modprobe -a nf_tables nft_tproxy nft_socket nft_redir nft_nat"
	case errors.Is(err, unix.ENOSPC) && setting("user.max_user_namespaces") == "0":
		return "user.max_user_namespaces is 0", "sudo sysctl user.max_user_namespaces=10000, or start with sudo"
	case errors.Is(err, unix.ENOSPC) && setting("user.max_net_namespaces") == "0":
		return "user.max_net_namespaces is 0", "sudo sysctl user.max_net_namespaces=10000"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return "there are too many namespaces", "raise sysctl user.max_user_namespaces and user.max_net_namespaces"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return "this kernel has no user namespaces", "start with sudo, or use a kernel with CONFIG_USER_NS and CONFIG_NET_NS"
	case refused && setting("kernel.unprivileged_userns_clone") == "0":
		return "kernel.unprivileged_userns_clone is 0", "sudo sysctl kernel.unprivileged_userns_clone=1, or start with sudo"
	case refused && setting("kernel.apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor restricts user namespaces", "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give " +
			executable() + " an AppArmor profile with userns, as in /etc/apparmor.d/unprivileged_userns; or start with sudo"
	case refused && setting("seccomp") == "2":
		return "a seccomp profile forbids namespaces", "in docker: --security-opt seccomp=unconfined, or --cap-add SYS_ADMIN and NET_ADMIN"
	case refused:
		return "namespaces are not allowed here, as in a chroot", "start outside of it, or as root"
	}
	return "", ""
}

// kernelSetting is the value of a sysctl, "" if there is none such; "seccomp" is
// the mode that this process is in: proc_pid_status(5).
func kernelSetting(name string) string {
	if name != "seccomp" {
		b, _ := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
		return strings.TrimSpace(string(b))
	}
	b, _ := os.ReadFile("/proc/self/status")
	_, after, _ := bytes.Cut(b, []byte("\nSeccomp:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return strings.TrimSpace(string(line))
}
