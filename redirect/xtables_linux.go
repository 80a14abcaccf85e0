package redirect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

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
	// lockSeconds is that in seconds, for the programs.
	lockSeconds = "10"
	// lockRetry is how often ours is tried.
	lockRetry = 2 * time.Millisecond
)

// builtins are the kernel's chains that may lead to ours, by table.
func builtins() [][2]string {
	return ruleSet{hermetic: true}.tables()
}

// commit has each family's restore apply its script, all of a table's lines or
// none.
func (x xtables) commit(scripts [][]byte) error {
	var cmds []*exec.Cmd
	for n, f := range x {
		if len(scripts[n]) == 0 {
			continue
		}
		c := exec.Command(f.path+"-restore", "--noflush", "--wait", lockSeconds)
		c.Stdin = bytes.NewReader(scripts[n])
		cmds = append(cmds, c)
	}
	_, err := together(cmds)
	return err
}

// arm names s's chain, makes it and then, when it is whole, the jumps to it, in
// the tables that were found.
func (x xtables) arm(s *ruleSet, found []saved) error {
	var err error
	if s.chain, s.tag, err = freeChain(found...); err != nil {
		return err
	}
	scripts := make([][]byte, len(x))
	for n, f := range x {
		scripts[n] = f.script(*s, found[n].fresh())
	}
	return x.commit(scripts)
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

// reap removes the rules of those who did not live to do it, and returns what is
// left of found.
func (x xtables) reap(found []saved) ([]saved, error) {
	none := func(f saved) bool { _, names := removal(f, stale); return len(names) == 0 }
	if !slices.ContainsFunc(found, func(f saved) bool { return !none(f) }) {
		return found, nil
	}
	if err := x.remove(found, stale); err != nil {
		return nil, err
	}
	return x.save()
}

// disarm removes the chain called name, and the jumps to it.
func (x xtables) disarm(name string) error {
	if unlink(name) {
		return nil
	}
	found, err := x.save()
	if err != nil {
		return err
	}
	return x.remove(found, func(chain string, _ []string) bool { return chain == name })
}

// remove removes of what was found the chains that are ours, and the jumps to
// them.
func (x xtables) remove(found []saved, ours func(chain string, rules []string) bool) error {
	scripts := make([][]byte, len(x))
	var names []string
	for n := range x {
		var in []string
		scripts[n], in = removal(found[n], ours)
		names = append(names, in...)
	}
	if len(names) == 0 || unlink(names...) {
		return nil
	}
	return x.commit(scripts)
}

// removal is what restore has to be told to remove the chains of found that are
// ours, and which they are. Chains and jumps go together, as legacy iptables checks
// what stays of a table, and would refuse the change for a jump whose cgroup is gone.
func removal(found saved, ours func(chain string, rules []string) bool) (script []byte, names []string) {
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
		fmt.Fprintf(&b, "*%s\n", h[0])
		for _, r := range t.of(h[1]) {
			if _, to, _ := strings.Cut(r, " -j "); slices.Contains(chains, to) {
				fmt.Fprintf(&b, "-D %s %s\n", h[1], r)
			}
		}
		for _, c := range chains {
			fmt.Fprintf(&b, "-F %s\n-X %s\n", c, c)
		}
		b.WriteString("COMMIT\n")
		names = append(names, chains...)
	}
	return b.Bytes(), names
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
	return !foreignChain(rules)
}

// foreignChain says whether a process of another pid namespace made the chain
// that has rules: the first has its tag.
func foreignChain(rules []string) bool {
	return len(rules) > 0 && !strings.Contains(rules[0], pidNamespace())
}

// foreignChains are those chains of found that a process of another pid
// namespace made.
func foreignChains(found []saved) []string {
	var all []string
	for _, f := range found {
		for _, h := range builtins() {
			t := f[h[0]]
			for _, c := range t.chains {
				if strings.HasPrefix(c, chainPrefix) && foreignChain(t.of(c)) && !slices.Contains(all, c) {
					all = append(all, c)
				}
			}
		}
	}
	return all
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
	own, err := chainNumbers()
	if err != nil {
		return "", "", err
	}
	numbers := own
	taken := func(s saved) bool { return s.has(chainPrefix + numbers) }
	for n := 2; slices.ContainsFunc(found, taken); n++ {
		numbers = fmt.Sprintf("%s-%d", own, n)
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

// A standing is what has to be known to remove the rules of one process, those
// included that it makes later.
type standing struct {
	Owner string // pid and start time, as the names of its chains have it; "": there are none
}

// ownStanding is that of this process.
func ownStanding() (s standing, err error) {
	s.Owner, err = chainNumbers()
	return s, err
}

// owns says whether the owner made the chain, which is of this pid namespace.
func (s standing) owns(chain string, rules []string) bool {
	pid, start, ok := chainOwner(chain)
	return ok && fmt.Sprintf("%d-%d", pid, start) == s.Owner && (len(rules) == 0 || strings.Contains(rules[0], pidNamespace()))
}

// chainNumbers are this process's pid and start time, as names of chains have them.
func chainNumbers() (string, error) {
	start, err := startTime(os.Getpid())
	return fmt.Sprintf("%d-%d", os.Getpid(), start), err
}

// disarm removes the rules.
func (s standing) disarm() error {
	if s.Owner == "" {
		return nil
	}
	return editing(context.Background(), func() error {
		x, found, err := openXtables()
		if err != nil {
			return err
		}
		return x.remove(found, s.owns)
	})
}
