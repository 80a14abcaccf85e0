package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// iptablesLane is what a Diversion of the iptables lane owns. Its rules tell
// the target's packets by the cgroup that their socket was made in or, where no
// cgroup can be made, by a supplementary group that no other process has.
type iptablesLane struct {
	door
	tables    xtables // nil: not looked for yet
	useless   bool    // they do not work here, whatever tells the target
	rules     ruleSet
	counts    escapeCounts
	conntrack *conntrack
	callers   callers
	lookout   *lookout
	questions []*net.UDPConn
	longest   int    // of questions: what is longer is dropped, in bytes
	cgroup    string // "" where a group tells the target
}

// start makes everything that close undoes.
func (i *iptablesLane) start(ctx context.Context, t Target) error {
	if !capable(unix.CAP_NET_ADMIN) {
		return &HintError{
			Err:  fmt.Errorf("%w: missing CAP_NET_ADMIN", ErrUnsupported),
			Hint: "start with sudo; in docker: --cap-add NET_ADMIN",
		}
	}
	if err := routed(); err != nil {
		return err
	}
	if err := i.open(ctx, t); err != nil {
		return err
	}
	for _, l := range i.listeners {
		i.serving.Go(func() { i.serve(l, i.identify) })
	}
	for _, c := range i.questions {
		i.serving.Go(func() { i.serveQuestions(c) })
	}
	if i.counts.log != nil {
		i.serving.Go(i.counts.log.serve)
	}
	i.d.trace.reached(Opened)
	first := i.byCgroup(ctx, t)
	if first == nil || t.Cgroup != "" || i.useless || ctx.Err() != nil {
		return first
	}
	second := i.byGroup(ctx, t)
	if second == nil {
		return nil
	}
	return bothErrors(first, second)
}

// bothErrors are the reasons why neither a cgroup nor a group will do. The hint
// is that of the second: what it asks for is less.
func bothErrors(first, second error) error {
	err := fmt.Errorf("by cgroup: %w; by group: %w", first, second)
	if h := new(HintError); errors.As(second, &h) {
		return &HintError{Err: err, Hint: h.Hint}
	}
	return err
}

// routed says whether this host has a default route. Rules see packets, and a
// destination that has no route gets none: connect fails before.
func routed() error {
	// An address of TEST-NET-2, RFC 5737: nobody has a route of its own to it.
	c, err := net.Dial("udp4", "198.51.100.1:9") // sends nothing
	if err == nil {
		return c.Close()
	}
	if !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH) {
		return fmt.Errorf("look for a route: %w", err)
	}
	return &HintError{
		Err:  fmt.Errorf("%w: iptables diverts only what has a route, and there is no default route: %w", ErrUnsupported, err),
		Hint: "use --backend netns or ebpf, or add a route: ip route add default dev lo",
	}
}

// open opens our sockets, and says what the rules are to know.
func (i *iptablesLane) open(ctx context.Context, t Target) error {
	l4, l6, err := listen(ctx)
	if err != nil {
		return err
	}
	i.rules = ruleSet{except: t.Except, loopback: t.Loopback, resolvers: t.Resolvers, hermetic: t.Hermetic, pass: t.passing(), pinned: t.Pinned}
	i.listeners = append(i.listeners, l4)
	i.rules.listener.v4 = addrPort(l4.Addr()).Port()
	if l6 != nil {
		i.listeners = append(i.listeners, l6)
		i.rules.listener.v6 = addrPort(l6.Addr()).Port()
	}
	if err := i.openQuestions(len(t.Pinned) > 0); err != nil {
		return err
	}
	if i.conntrack, err = openConntrack(); err != nil {
		return &HintError{Err: fmt.Errorf("%w: %w", ErrUnsupported, err), Hint: "modprobe nf_conntrack_netlink; in a container, the host loads modules"}
	}
	if i.callers.diag, err = openDiag(); err != nil {
		return err
	}
	i.counts.hermetic = t.Hermetic
	// Without NFLOG the rules' own counters tell how much, but not where to.
	if i.counts.log, err = openLog(uint16(os.Getpid())); err == nil {
		i.rules.group = i.counts.log.group
		i.counts.log.sender = i.sender
	}
	return nil
}

// byCgroup tells the target by a cgroup.
func (i *iptablesLane) byCgroup(ctx context.Context, t Target) error {
	outside := t.Cgroup
	if outside == "" {
		var err error
		if outside, err = ownCgroup(); err != nil {
			return err
		}
	}
	reap(ctx, outside) // what cannot be removed, as it is another user's, is not in our way
	var err error
	if i.cgroup, err = makeCgroup(outside); err != nil {
		return err
	}
	i.d.trace.reached(Enclosed)
	matched := i.cgroup
	if t.Cgroup != "" {
		matched = t.Cgroup
	}
	path, err := cgroupName(matched)
	if err != nil {
		return err
	}
	err = i.watched(ctx, t, []string{"-m", "cgroup", "--path", path}, func() []int { return processes(matched) }, birth{
		plan: plan{Cgroup: i.cgroup, Outside: outside},
		kill: func() { kill(i.cgroup) },
	})
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		err = cgroupError(outside, err)
	}
	if err != nil {
		if i.init != nil {
			i.init.stop()
			i.init = nil
		}
		err = errors.Join(err, i.disarm(), removeCgroup(context.WithoutCancel(ctx), i.cgroup))
		i.cgroup = ""
	}
	return err
}

// byGroup tells the target by a group.
func (i *iptablesLane) byGroup(ctx context.Context, t Target) error {
	gid, err := freeGroup()
	if err != nil {
		return err
	}
	i.d.trace.reached(Enclosed)
	credential, err := inGroup(gid)
	if err != nil {
		return err
	}
	return i.watched(ctx, t, groupMatch(gid), func() []int { return i.init.members() }, birth{
		plan:       plan{Group: true},
		credential: credential,
	})
}

// watched has init born as b says, arms the rules for packets that match, waits
// for the probe, and watches what the members of the target do on this host. Init
// comes first, as it removes the rules if we are killed.
func (i *iptablesLane) watched(ctx context.Context, t Target, match []string, members func() []int, b birth) error {
	ctx, cancel := context.WithTimeout(ctx, birthPatience)
	defer cancel()
	ways := []plan{{}}
	if capable(unix.CAP_SYS_ADMIN) {
		// In a user namespace of its own init could not remove the rules.
		ways = []plan{{Private: true}, {}}
	}
	standing, err := ownStanding()
	if err != nil {
		return err
	}
	b.plan.Probe, b.plan.Rules, b.plan.Waits = probe.String(), standing, true
	b.args, b.trace = t.Init, i.d.trace
	b.place = func(int) (string, error) {
		// An init that came to nothing may have had rules.
		if err := errors.Join(i.disarm(), i.arm(ctx, match)); err != nil {
			return "", err
		}
		i.d.trace.reached(Ruled)
		return "", nil
	}
	b.arrived = func(ctx context.Context, _ int) error {
		if _, err := i.arrived(ctx); err != nil {
			return &HintError{Err: err, Hint: "rules before ours, or of another program, take the connections: see iptables-save and nft list ruleset"}
		}
		return nil
	}
	if i.init, i.d.private, err = b.start(ctx, ways); err != nil {
		return err
	}
	i.d.telling(i.asker)
	i.callers.watch(func([]int) []int { return members() })
	i.lookout, err = newLookout(nil, members, i.counts.talks)
	return err
}

// arm makes the rules for packets that match, and removes those of who did not
// live to do it.
func (i *iptablesLane) arm(ctx context.Context, match []string) error {
	i.rules.match = match
	return editing(ctx, func() error {
		found, err := i.found()
		if err != nil {
			return err
		}
		if found, err = i.tables.reap(found); err != nil {
			return fmt.Errorf("remove stale rules: %w", err)
		}
		i.d.foreign = foreignChains(found)
		if err := i.tables.arm(&i.rules, found); err != nil {
			return &HintError{
				Err:  fmt.Errorf("%w: add rules: %w", ErrUnsupported, err),
				Hint: armHint(err.Error()),
			}
		}
		return nil
	})
}

// found is what tables there are; the first time it finds the programs too.
func (i *iptablesLane) found() (all []saved, err error) {
	if i.tables != nil {
		return i.tables.save()
	}
	i.tables, all, err = openXtables()
	i.useless = err != nil
	return all, err
}

// armHint is what to do about rules that cannot be made, as text says.
func armHint(text string) string {
	if h := xtablesHint(text); h != "" {
		return h
	}
	return "the kernel lacks a match or a target of netfilter's: modprobe xt_cgroup xt_owner xt_comment xt_multiport xt_REDIRECT xt_NFLOG ipt_REJECT ip6t_REJECT"
}

// disarm removes the rules, if there are any.
func (i *iptablesLane) disarm() error {
	if i.rules.chain == "" {
		return nil
	}
	chain := i.rules.chain
	i.rules.chain = ""
	err := editing(context.Background(), func() error { return i.tables.disarm(chain) })
	if err != nil {
		return fmt.Errorf("remove rules: %w", err)
	}
	return nil
}

// identify tells where c was on its way to, and whose it is.
func (i *iptablesLane) identify(c *net.TCPConn) (a arrival, ok bool, err error) {
	if a.dst, ok, err = originalDst(c); err != nil || !ok || a.dst == probe || i.ours(a.dst) {
		return a, ok, err
	}
	a.caller = i.callers.find(unix.IPPROTO_TCP, addrPort(c.RemoteAddr()), a.dst)
	return a, true, nil
}

// escapes tells what the rules refused.
func (i *iptablesLane) escapes() ([]Escape, error) { return i.counts.escapes(i.tables, i.rules.chain) }

// local tells what the lookout has seen.
func (i *iptablesLane) local() ([]Local, error) {
	if i.lookout == nil {
		return nil, nil
	}
	return i.lookout.local()
}

// close ends the target, then the rules, so that nothing of the target ever
// runs without them, and last init, which would remove them for us.
func (i *iptablesLane) close() error {
	var errs []error
	if i.init != nil {
		i.init.end()
	}
	if i.cgroup != "" {
		errs = append(errs, removeCgroup(context.Background(), filepath.Join(i.cgroup, commandCgroup)))
	}
	if i.lookout != nil {
		errs = append(errs, i.lookout.close())
	}
	i.counts.keep(i.tables, i.rules.chain)
	errs = append(errs, i.disarm())
	i.d.trace.reached(Unruled)
	if i.init != nil {
		i.init.stop()
	}
	if i.cgroup != "" {
		errs = append(errs, removeCgroup(context.Background(), i.cgroup))
	}
	errs = append(errs, i.closeListeners())
	for _, c := range i.questions {
		errs = append(errs, c.Close())
	}
	if i.counts.log != nil {
		errs = append(errs, i.counts.log.close())
	}
	i.serving.Wait()
	if i.conntrack != nil {
		errs = append(errs, i.conntrack.close())
	}
	if i.callers.diag != nil {
		errs = append(errs, i.callers.diag.close())
	}
	return errors.Join(errs...)
}

// cgroupName is the cgroup at dir as the cgroup match has it: from the root of
// our cgroup namespace.
func cgroupName(dir string) (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("name cgroup %s: %w", dir, err)
	}
	point, top, _ := cgroupMount(mounts)
	rel, err := filepath.Rel(point, dir)
	if err != nil {
		return "", fmt.Errorf("name cgroup %s: %w", dir, err)
	}
	return filepath.Join(top, rel), nil
}

// groupMatch tells the packets of sockets whose process was in the group gid
// when it made them, in its supplementary groups too.
func groupMatch(gid int) []string {
	return []string{"-m", "owner", "--gid-owner", fmt.Sprint(gid), "--suppl-groups"}
}

// inGroup are our credentials with the supplementary group gid beside.
func inGroup(gid int) (*syscall.Credential, error) {
	own, err := os.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("our groups: %w", err)
	}
	c := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid()), Groups: []uint32{uint32(gid)}}
	for _, g := range own {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c, nil
}
