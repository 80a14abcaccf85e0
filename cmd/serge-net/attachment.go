package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/certs"
	"github.com/serge-net/serge-net/dnsstub"
	"github.com/serge-net/serge-net/mitm"
	"github.com/serge-net/serge-net/redirect"
)

// An attachment is a run without a command: its target was there before, and
// goes on after it.
type attachment struct {
	*runner
	flags  *attachFlags
	target redirect.Target
	what   string // the target, to a person
	place  redirect.Place
	caDir  string // where the CA is kept
	shown  bool   // the target is shown the CA, by mounts in its own namespace
}

// openCA takes the CA that is kept, or keeps one.
func (a *attachment) openCA() (err error) {
	if a.caDir, err = caDir(a.flags.caDir); err != nil {
		return err
	}
	made := false
	if a.ca, made, err = keepCA(a.caDir); err != nil {
		return err
	}
	if made {
		a.report.warnf("made a CA, kept in %s", a.caDir)
	}
	return nil
}

// prepare makes what is needed, the lane before the way to the origins, which
// goes by the target's network. What the target connects to meanwhile waits.
func (a *attachment) prepare(ctx context.Context) (mitm.Way, error) {
	a.plan = new(certs.Plan)
	conf := a.resolvers()
	a.conf = &conf
	if err := a.divert(ctx, conf); err != nil {
		return nil, err
	}
	a.account.Lane = a.lane.By()
	attached := a.lane.Attached()
	a.dialer = net.Dialer{Control: attached.Control()}
	if attached.Place().Mounts {
		if err := a.show(attached); err != nil {
			return nil, err
		}
	}
	roots, err := a.trusted()
	if err != nil {
		return nil, err
	}
	upstream := a.upstream(roots, nil)
	upstream.Dialer = a.dialer
	upstream.Dialer.Resolver = &net.Resolver{PreferGo: true, Dial: a.dialResolver}
	return a.way(upstream), a.names()
}

// divert attaches to the target.
func (a *attachment) divert(ctx context.Context, conf dnsstub.Conf) (err error) {
	a.target.Hermetic = a.hermetic()
	a.target.QUIC = a.flags.quic == "record"
	a.target.Pass = a.udp.target()
	a.target.Pinned = a.pinned()
	a.target.Loopback = a.loopback
	a.target.Init = []string{initArg}
	for _, s := range conf.Servers {
		a.target.Resolvers = append(a.target.Resolvers, s.Addr())
	}
	a.lane, err = redirect.Start(ctx, a.target, redirect.EBPF)
	return err
}

// hermetic tells whether nothing but loopback may leave the target. A replay
// that is told so lets it answer its own clients.
func (a *attachment) hermetic() bool {
	return a.flags.hermetic || a.replays() && !a.flags.open
}

// resolvers is what the target's own resolv.conf(5) says.
func (a *attachment) resolvers() dnsstub.Conf {
	b, err := a.place.ReadFile("/etc/resolv.conf")
	if err != nil {
		b = nil
	}
	return dnsstub.ParseConf(b)
}

// show has the target see the CA among the roots that it trusts. Where it has
// none that can be covered it goes on without.
func (a *attachment) show(attached *redirect.Attached) error {
	plan, err := certs.NewPlan(certs.PlanConfig{
		CA: a.ca.PEM(), Env: a.environ(), Workdir: "/", Root: a.place.Root, Mounts: true,
	})
	if err != nil {
		a.report.warnf("trust: %v", err)
		return nil
	}
	a.plan = plan
	var mounts []redirect.Mount
	for _, m := range plan.Mounts {
		mounts = append(mounts, redirect.Mount(m))
	}
	if err := attached.Mount(mounts); err != nil {
		a.report.warnf("trust: %v", err)
		return nil
	}
	a.shown = true
	return nil
}

// environ is what the target's first process was started with.
func (a *attachment) environ() []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(a.place.PID) + "/environ")
	if err != nil {
		return nil // it may have ended; its variables only add roots
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// announce writes the start line, and what is out of reach.
func (a *attachment) announce() {
	a.started("ebpf, attached to " + a.what)
	a.sayTrust()
	connected, idle := []string{}, 0
	for _, u := range a.lane.Attached().Unseen() {
		if !u.Peer.IsValid() {
			idle++
			continue
		}
		connected = append(connected, fmt.Sprintf("%s %s (%s, pid %d)", strings.ToUpper(u.Protocol), u.Peer, u.Command, u.PID))
	}
	if n := len(connected); n > 0 {
		a.report.warnf("%s open before and not seen: %s", were(n, "connection"), some(connected))
	}
	if idle > 0 {
		a.report.warnf("%s made before and not seen, even when connected anew: restart what uses them, or attach by --cgroup or --unit", were(idle, "socket"))
	}
	if left := a.lane.Attached().Left(); len(left) > 0 {
		a.report.warnf("left alone, as they live in another network namespace: %v; for a container: --container", left)
	}
	if a.hermetic() {
		a.report.warnf("nothing but loopback leaves it from now on: open connections break, and clients elsewhere get no answer\n  to let it answer them: --hermetic=false")
	}
}

// sayTrust says how the target comes to trust the CA, as far as that is not seen to.
func (a *attachment) sayTrust() {
	const again = "; what has read its roots already, before that, is to be restarted"
	if a.shown {
		a.report.trust = "restart it: it has read its roots already, or carries its own"
		a.report.sayf("trust: the target is shown the CA until the end%s", again)
		return
	}
	cert := certs.CertPath(a.caDir)
	a.report.trust = "serge-net ca install, or SSL_CERT_FILE=" + cert + " in its environment" + again
	if a.place.Root != "/" {
		a.report.trust = "put " + cert + " among its roots: docker cp, or a volume and SSL_CERT_FILE" + again
		a.report.sayf("trust: what the target sees, others see too, or it cannot be mounted: nothing is changed\n  to have it trust us: %s", a.report.trust)
		return
	}
	store, err := certs.SystemStore(runtime.GOOS, a.ca, cert, func(dir string) bool {
		info, err := os.Stat(dir)
		return err == nil && info.IsDir()
	})
	if err != nil || !store.Holds(a.ca) {
		a.report.sayf("trust: the target sees this host's files, which are not changed, and nothing here trusts the CA yet\n  to have it trust us: %s", a.report.trust)
	}
}

// outside is runner's; names may be asked for unseen where the target lives.
func (a *attachment) outside() outside {
	o := a.runner.outside()
	o.open = nil
	if !a.shown {
		for _, path := range resolverSockets() {
			if _, err := a.place.Stat(path); err == nil {
				o.open = append(o.open, path)
			}
		}
	}
	o.loose = o.loose || !a.hermetic()
	return o
}

// were is n of thing, and that they were.
func were(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " was"
	}
	return fmt.Sprintf("%d %ss were", n, thing)
}

// mostNamed is how many things a line names before it only counts them.
const mostNamed = 10

// some is all in words, or the first and how many more.
func some(all []string) string {
	if n := len(all) - mostNamed; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:mostNamed], ", "), n)
	}
	return strings.Join(all, ", ")
}
