package redirect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-iptables/iptables"
	"golang.org/x/sys/unix"
)

const (
	// chainPrefix begins the name of every chain of ours:
	// SERGE-<pid>-<start time>, of the process that made it, and -<n> if that
	// is its n-th. The longest has 28 characters, which is what the kernel
	// takes: XT_EXTENSION_MAXNAMELEN.
	chainPrefix = "SERGE-"
	// tagPrefix begins the comment of our rules: serge-net:<the chain's
	// numbers>@<pid namespace>, without which a pid says nothing.
	tagPrefix = "serge-net:"
	// lockPatience is how long others may hold the lock of legacy iptables or ours.
	// They hold it for milliseconds each.
	lockPatience = 10 * time.Second
	// lockRetry is how often ours is tried.
	lockRetry = 2 * time.Millisecond
)

// builtins are the kernel's chains that may lead to ours, by table.
func builtins() [][2]string {
	return ruleSet{hermetic: true}.tables()
}

// xtables are the programs that edit rules, one for each address family that
// this host has.
type xtables []xfamily

// An xfamily is iptables or ip6tables.
type xfamily struct {
	v6 bool
	// IPTables lists; it has no transactions.
	*iptables.IPTables
	path string // of the program; the one that commits is beside it
}

// openXtables finds the programs: the variant that iptables is on this host, or
// the other one where that does not work.
func openXtables() (xtables, error) {
	var errs []error
	for _, variant := range []string{"", "-nft", "-legacy"} {
		x, err := openVariant(variant)
		if err == nil {
			return x, nil
		}
		if !errors.Is(err, exec.ErrNotFound) || variant == "" {
			errs = append(errs, err)
		}
	}
	return nil, xtablesError(errors.Join(errs...))
}

// openVariant is openXtables for one variant.
func openVariant(variant string) (xtables, error) {
	v4, err := openProgram("iptables"+variant, false)
	if err != nil {
		return nil, err
	}
	x := xtables{v4}
	v6, err := openProgram("ip6tables"+variant, true)
	if err == nil {
		return append(x, v6), nil
	}
	if addresses, _ := os.ReadFile("/proc/thread-self/net/if_inet6"); len(addresses) == 0 {
		return x, nil // nothing can leave by IPv6
	}
	return nil, err
}

// openProgram finds a program and has it list a table.
func openProgram(name string, v6 bool) (f xfamily, err error) {
	if f.path, err = exec.LookPath(name); err != nil {
		// Where ordinary users do not look.
		if f.path, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err != nil {
			return f, fmt.Errorf("%s: %w", name, exec.ErrNotFound)
		}
	}
	return openPath(f.path, v6)
}

// openPath is openProgram for one that was found.
func openPath(path string, v6 bool) (f xfamily, err error) {
	f.path, f.v6 = path, v6
	family := iptables.ProtocolIPv4
	if v6 {
		family = iptables.ProtocolIPv6
	}
	if f.IPTables, err = iptables.New(iptables.Path(path), iptables.IPFamily(family), iptables.Timeout(int(lockPatience/time.Second))); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := f.ListChains("nat"); err != nil {
		return f, fmt.Errorf("%s: %w", path, flat(err))
	}
	return f, nil
}

// flat is err on one line.
func flat(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}

// xtablesError says what keeps iptables from working here.
func xtablesError(err error) error {
	var hint string
	switch text := err.Error(); {
	case strings.Contains(text, "you must be root") && !capable(unix.CAP_NET_RAW):
		hint = "legacy iptables needs CAP_NET_RAW: grant it, or have nftables' variant: update-alternatives --set iptables /usr/sbin/iptables-nft"
	case errors.Is(err, exec.ErrNotFound) && strings.Contains(text, "ip6tables"):
		hint = "this host has IPv6, by which the command could leave: install ip6tables, or turn IPv6 off: sysctl net.ipv6.conf.all.disable_ipv6=1"
	case errors.Is(err, exec.ErrNotFound):
		hint = "install iptables: apt-get install iptables, apk add iptables"
	case strings.Contains(text, "lock"):
		hint = "legacy iptables cannot have its lock: set XTABLES_LOCKFILE to a file that can be written, or end who holds it"
	default:
		hint = "the kernel lacks netfilter's tables, or forbids them here: modprobe nf_tables iptable_nat; in a container, the host loads modules"
	}
	return &HintError{Err: fmt.Errorf("%w: %w", ErrUnsupported, err), Hint: hint}
}

// commit has restore apply script, all of a table's lines or none.
func (f xfamily) commit(script []byte) error {
	if len(script) == 0 {
		return nil
	}
	args := []string{"--noflush"}
	if a, b, c := f.GetIptablesVersion(); a > 1 || b > 6 || b == 6 && c >= 2 { // the first whose restore can wait
		args = append(args, "--wait", strconv.Itoa(int(lockPatience/time.Second)))
	}
	cmd := exec.Command(f.path+"-restore", args...)
	cmd.Stdin = bytes.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, flat(errors.New(string(out))))
	}
	return nil
}

// arm names s's chain, makes it and then, when it is whole, the jumps to it.
func (x xtables) arm(s *ruleSet) error {
	var found []saved
	for _, f := range x {
		there, err := f.save()
		if err != nil {
			return err
		}
		found = append(found, there)
	}
	var err error
	if s.chain, s.tag, err = freeChain(found...); err != nil {
		return err
	}
	for n, f := range x {
		if err := f.commit(f.script(*s, found[n].fresh())); err != nil {
			return err
		}
	}
	return nil
}

// script makes s's rules, in tables of which some are fresh. A table's rules are
// in force together.
func (f xfamily) script(s ruleSet, fresh map[string]bool) []byte {
	var b bytes.Buffer
	rules, jumps := s.rules(f.v6), s.jumps(fresh)
	for _, t := range s.tables() {
		fmt.Fprintf(&b, "*%s\n:%s - [0:0]\n", t[0], s.chain)
		for _, r := range rules {
			if r.table == t[0] {
				fmt.Fprintf(&b, "-A %s %s\n", r.chain, quoted(r.spec))
			}
		}
		for _, r := range jumps {
			if r.table == t[0] {
				fmt.Fprintf(&b, "-I %s 1 %s\n", r.chain, quoted(r.spec))
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.Bytes()
}

// quoted is spec as restore reads it.
func quoted(spec []string) string {
	words := make([]string, len(spec))
	for i, w := range spec {
		words[i] = w
		if strings.ContainsAny(w, " \t\"\\'") {
			words[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
		}
	}
	return strings.Join(words, " ")
}

// disarm removes the chains that are ours, and the jumps to them: together, as
// legacy iptables checks what stays of a table, and would refuse the change
// for a jump whose cgroup is gone.
func (x xtables) disarm(ours func(chain string, rules []string) bool) error {
	var errs []error
	for _, f := range x {
		found, err := f.save()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		script, fresh := removal(found, ours)
		if err := f.commit(script); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, h := range fresh {
			errs = append(errs, f.tidy(h[0], h[1]))
		}
	}
	return errors.Join(errs...)
}

// removal is what disarm has restored, and which tables that leaves empty that
// were not there before us.
func removal(found saved, ours func(chain string, rules []string) bool) (script []byte, fresh [][2]string) {
	var b bytes.Buffer
	for _, h := range builtins() {
		t := found[h[0]]
		var chains []string
		for _, c := range t.chains {
			if strings.HasPrefix(c, chainPrefix) && ours(c, t.of(c)) {
				chains = append(chains, c)
			}
		}
		if len(chains) == 0 {
			continue
		}
		marked := false
		fmt.Fprintf(&b, "*%s\n", h[0])
		for _, r := range t.of(h[1]) {
			before, to, _ := strings.Cut(r, " -j ")
			if slices.Contains(chains, to) {
				fmt.Fprintf(&b, "-D %s %s\n", h[1], r)
				marked = marked || strings.HasSuffix(strings.Trim(before, `"`), freshMark)
			}
		}
		for _, c := range chains {
			fmt.Fprintf(&b, "-F %s\n-X %s\n", c, c)
		}
		b.WriteString("COMMIT\n")
		if marked {
			fresh = append(fresh, h)
		}
	}
	return b.Bytes(), fresh
}

// named says of chains whether they are the one called name.
func named(name string) func(string, []string) bool {
	return func(chain string, _ []string) bool { return chain == name }
}

// stale says whether the process that made the chain is gone. Of one in another
// pid namespace nobody here can tell: its rules stay.
func stale(chain string, rules []string) bool {
	pid, start, ok := chainOwner(chain)
	if !ok {
		return false
	}
	if t, err := startTime(pid); err == nil && t == start {
		return false
	}
	return len(rules) == 0 || strings.Contains(rules[0], pidNamespace())
}

// chainOwner is who made the chain.
func chainOwner(chain string) (pid int, start uint64, ok bool) {
	n, _ := fmt.Sscanf(chain, chainPrefix+"%d-%d", &pid, &start)
	return pid, start, n == 2
}

// pidNamespace is how ours ends a tag.
func pidNamespace() string {
	link, err := os.Readlink("/proc/self/ns/pid") // pid:[number]
	if err != nil {
		return "@"
	}
	return "@" + strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
}

// freeChain is a name for a chain of ours that is in none of found, and its tag.
func freeChain(found ...saved) (chain, tag string, err error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", "", err
	}
	numbers := fmt.Sprintf("%d-%d", os.Getpid(), start)
	taken := func(s saved) bool { return s.has(chainPrefix + numbers) }
	for n := 2; slices.ContainsFunc(found, taken); n++ {
		numbers = fmt.Sprintf("%d-%d-%d", os.Getpid(), start, n)
	}
	return chainPrefix + numbers, tagPrefix + numbers + pidNamespace(), nil
}

// editing calls f, which may start iptables from its own goroutine, while no
// other process of ours in this network namespace edits rules. It locks the
// namespace itself: a file that needs no place and leaves no litter.
func editing(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("lock the rules: %w", err)
	}
	defer file.Close()
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return asAdmin(f)
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock the rules: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock the rules: %w", ctx.Err())
		case <-retry.C:
		}
	}
}

// asAdmin calls f, which may start iptables from its own goroutine.
func asAdmin(f func() error) error { return lend(f, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW) }

// A standing is what has to be known to remove the rules of one diversion.
type standing struct {
	Chain    string   // "": there are none
	Programs []string // iptables and, where there is IPv6, ip6tables
}

// standing is that of the chain.
func (x xtables) standing(chain string) standing {
	s := standing{Chain: chain}
	for _, f := range x {
		s.Programs = append(s.Programs, f.path)
	}
	return s
}

// disarm removes the rules, by programs that init finds again.
func (s standing) disarm() error {
	if s.Chain == "" {
		return nil
	}
	var x xtables
	return editing(context.Background(), func() error {
		for i, path := range s.Programs {
			f, err := openPath(path, i == 1)
			if err != nil {
				return err
			}
			x = append(x, f)
		}
		return x.disarm(named(s.Chain))
	})
}
