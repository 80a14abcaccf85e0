package redirect

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// xtables are the programs that edit rules, one for each address family that
// this host has. They are run side by side: what takes longest is the kernel's
// part, and that is mostly waiting.
type xtables []xfamily

// An xfamily is iptables or ip6tables, 1.6.2 or newer: the first whose restore
// can wait.
type xfamily struct {
	v6   bool
	path string // of the program; those that list and commit are beside it
}

// openXtables finds the programs, and what tables there are: of the variant that
// iptables is on this host, or the other one where that does not work.
func openXtables() (xtables, []saved, error) {
	var errs []error
	for _, variant := range []string{"", "-nft", "-legacy"} {
		x, err := findVariant(variant)
		var found []saved
		if err == nil {
			found, err = x.try()
		}
		if err == nil {
			return x, found, nil
		}
		if !errors.Is(err, exec.ErrNotFound) || variant == "" {
			errs = append(errs, err)
		}
	}
	return nil, nil, xtablesError(errors.Join(errs...))
}

// findVariant finds the programs of one variant.
func findVariant(variant string) (xtables, error) {
	v4, err := findProgram("iptables"+variant, false)
	if err != nil {
		return nil, err
	}
	x := xtables{v4}
	v6, err := findProgram("ip6tables"+variant, true)
	if err == nil {
		return append(x, v6), nil
	}
	if addresses, _ := os.ReadFile("/proc/thread-self/net/if_inet6"); len(addresses) == 0 {
		return x, nil // nothing can leave by IPv6
	}
	return nil, err
}

// findProgram finds a program.
func findProgram(name string, v6 bool) (f xfamily, err error) {
	f.v6 = v6
	if f.path, err = exec.LookPath(name); err != nil {
		// Where ordinary users do not look.
		if f.path, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err != nil {
			return f, fmt.Errorf("%s: %w", name, exec.ErrNotFound)
		}
	}
	return f, nil
}

// try returns what tables there are. It has the programs list one that is not
// there yet: legacy iptables-save is content with a kernel that has none.
func (x xtables) try() ([]saved, error) {
	found, err := x.save()
	if err != nil {
		return nil, err
	}
	var lists []*exec.Cmd
	for n, f := range x {
		if _, ok := found[n]["nat"]; !ok {
			lists = append(lists, exec.Command(f.path, "-t", "nat", "-S", "--wait", lockSeconds))
		}
	}
	_, err = together(lists)
	return found, err
}

// together runs cmds side by side, and returns what each printed. It starts them
// itself: capabilities that asAdmin lends are a thread's own.
func together(cmds []*exec.Cmd) ([]string, error) {
	out := make([]strings.Builder, len(cmds))
	said := make([]strings.Builder, len(cmds))
	errs := make([]error, len(cmds))
	for n, c := range cmds {
		c.Stdout, c.Stderr = &out[n], &said[n]
		errs[n] = c.Start()
	}
	all := make([]string, len(cmds))
	for n, c := range cmds {
		if errs[n] == nil {
			errs[n] = c.Wait()
		}
		if errs[n] != nil {
			errs[n] = fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), errs[n], flat(said[n].String()))
		}
		all[n] = out[n].String()
	}
	return all, errors.Join(errs...)
}

// flat is text on one line.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// xtablesError says what keeps iptables from working here.
func xtablesError(err error) error {
	text := err.Error()
	hint := xtablesHint(text)
	switch {
	case hint != "":
	case errors.Is(err, exec.ErrNotFound) && strings.Contains(text, "ip6tables"):
		hint = "this host has IPv6, by which the command could leave: install ip6tables, or turn IPv6 off: sysctl net.ipv6.conf.all.disable_ipv6=1"
	case errors.Is(err, exec.ErrNotFound):
		hint = "install iptables: apt-get install iptables, apk add iptables"
	default:
		hint = "the kernel lacks netfilter's tables, or forbids them here: modprobe nf_tables iptable_nat; in a container, the host loads modules"
	}
	return &HintError{Err: fmt.Errorf("%w: %w", ErrUnsupported, err), Hint: hint}
}

// xtablesHint is what to do about a program that said text; "" if that is not
// about the program.
func xtablesHint(text string) string {
	switch {
	case strings.Contains(text, "you must be root") && !capable(unix.CAP_NET_RAW):
		return "legacy iptables needs CAP_NET_RAW: grant it, or have nftables' variant: update-alternatives --set iptables /usr/sbin/iptables-nft"
	case strings.Contains(text, "unrecognized option"):
		return "this iptables is too old: 1.6.2 is the first whose restore waits for others"
	case strings.Contains(text, "lock"):
		return "legacy iptables cannot have its lock: set XTABLES_LOCKFILE to a file that can be written, or end who holds it"
	}
	return ""
}
