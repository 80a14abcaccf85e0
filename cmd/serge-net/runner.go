package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/serge-net/serge-net/certs"
	"github.com/serge-net/serge-net/dnsstub"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
	"github.com/serge-net/serge-net/redirect"
)

// A runner is one run, from its flags to its exit code: the composition of all
// rooms. What it starts it ends, in the opposite order.
type runner struct {
	*engine
	flags  *runFlags
	argv   []string
	conf   *dnsstub.Conf // whom to ask for names; nil: as /etc/resolv.conf says
	dialer net.Dialer    // by which name servers are asked
	// The command's; nil: ours.
	stdin, stdout, stderr *os.File
	// env is the command's environment of what is planned for it; nil: that.
	env    func(planned []string) []string
	beside bool // there may be other runs in this process; none gets its signals

	loopback []uint16           // ports of --intercept-loopback
	hosts    []uint16           // of --host-port, as redirect.Target has them
	publish  []redirect.Publish // of --publish, the same
	udp      datagramRule       // of --udp

	diverting func(s redirect.Step, init, command int) // redirect.Target.Reached

	plan  *certs.Plan
	stub  *dnsstub.Stub
	pins  *dnsstub.Pins
	lane  *redirect.Diversion
	relay *datagramRelay // of UDP that passes
	serve sync.WaitGroup
}

// newRunner runs argv as f says, and tells report of it.
func newRunner(f *runFlags, argv []string, say *report) *runner {
	again := func(mode string) string {
		if mode != "record" && mode != "replay" { // which are commands
			mode = "run --mode " + mode + " --cassette"
		}
		return fmt.Sprintf("serge-net %s %s -- %s", mode, f.cassette, shellWords(argv))
	}
	e := &engine{flags: &f.engineFlags, client: "command", reach: "the network", again: again, report: say, start: time.Now()}
	e.account = newAccount(e)
	if len(argv) > 0 { // an attach has none
		e.command, e.account.Command = filepath.Base(argv[0]), argv[0]
	}
	r := &runner{engine: e, flags: f, argv: argv}
	if f.verbose {
		r.follow()
	}
	return r
}

// run does it all. Its error is an *exit, or that serge-net could not start.
func (r *runner) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.check(); err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		r.abandon()
		return err
	}
	defer r.store.Close()
	r.at(begun)
	starting, stop := interruptible(ctx)
	way, err := r.prepare(starting)
	if came := stop(); came != nil {
		err = came // which is why the rest failed, if it did
	}
	if err != nil {
		r.abandon()
		return err
	}
	r.at(prepared)
	r.report.env = r.plan.Env
	r.account.Lane = r.lane.By()
	r.started(laneName(r.lane.By(), r.lane.Refused()))
	for _, chain := range r.lane.Foreign() {
		r.report.warnf("left alone: %s, rules of a serge-net in another pid namespace, a container say, where it may run still\n"+
			"  if it does not: iptables-save | grep -v %[1]s | iptables-restore; the same with ip6tables", chain)
	}
	r.serve.Go(func() { r.accept(ctx, way) })
	r.serve.Go(func() { r.answer(ctx) })
	if r.flags.quic == "record" {
		r.serve.Go(func() { r.quic(ctx, way) })
	}
	r.relay = r.datagrams()
	r.serve.Go(r.relay.serve)
	r.at(serving)
	status, runErr := r.command(ctx)
	r.at(finished)
	beside := r.outside()
	closeErr := r.lane.Close()
	cancel()
	r.serve.Wait()
	r.plan.Close()
	r.at(closed)
	code := r.finish(status, beside)
	if err := errors.Join(runErr, closeErr); err != nil {
		return err
	}
	if status.Err != nil {
		status.Err = fmt.Errorf("run %s: %w", r.argv[0], status.Err)
	}
	return &exit{Code: code, Err: status.Err}
}

// abandon undoes what open and prepare did, when the run cannot start.
func (r *runner) abandon() {
	if r.lane != nil {
		r.lane.Close()
	}
	if r.plan != nil {
		r.plan.Close()
	}
	r.engine.abandon()
}

// check reads what the flags say and what can be wrong with it, before
// anything is written.
func (r *runner) check() (err error) {
	if r.loopback, err = ports(r.flags.loopback); err != nil {
		return hint(fmt.Errorf("--intercept-loopback: %w", err), "ports are numbers from 1 to 65535, with commas between")
	}
	if r.hosts, err = hostPorts(r.flags.hostPort); err != nil {
		return hint(fmt.Errorf("--host-port: %w", err), "auto, none, or ports with commas between")
	}
	if r.publish, err = published(r.flags.publish); err != nil {
		return hint(fmt.Errorf("--publish: %w", err), "auto, none, or pairs such as 8080:80, the host's port first")
	}
	if r.udp, err = datagramsOf(r.flags.udp); err != nil {
		return err
	}
	if len(r.udp.hosts) > 0 && r.flags.dns == "real" {
		return hint(fmt.Errorf("--udp %s: hosts are told by pinned addresses, and --dns is real", r.udp.hosts[0].name), "name addresses: --udp 192.0.2.1:8125")
	}
	return r.engine.check()
}

// compose makes the one way that connections of this run go.
func (r *runner) compose() (mitm.Way, error) {
	var err error
	if r.ca, err = certs.NewCA(); err != nil {
		return nil, err
	}
	rest, proxies := proxiesOf(os.Environ())
	r.plan, err = r.trust(rest, true)
	if err != nil {
		return nil, err
	}
	roots, err := r.trusted()
	if err != nil {
		return nil, err
	}
	upstream := r.upstream(roots, proxies)
	if r.conf != nil {
		upstream.Dialer.Resolver = &net.Resolver{PreferGo: true, Dial: r.dialResolver}
	}
	r.at(trusted)
	return r.way(upstream), nil
}

// dialResolver connects to the run's own name server.
func (r *runner) dialResolver(ctx context.Context, network, _ string) (net.Conn, error) {
	return r.dialer.DialContext(ctx, network, r.conf.Servers[0].String())
}

// hermetic tells whether nothing but loopback may leave.
func (r *runner) hermetic() bool {
	return r.flags.hermetic || r.replays()
}

// kept tells of a DNS answer that could not be recorded.
func (r *runner) kept(err error) {
	if err != nil {
		r.report.trouble(mitm.Trouble{Cause: mitm.Unrecorded, Err: err})
	}
}

// accept hands each diverted connection on, until the lane is closed.
func (r *runner) accept(ctx context.Context, way mitm.Way) {
	var handling sync.WaitGroup
	defer handling.Wait()
	for {
		c, err := r.lane.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.report.once(fmt.Sprintf("not diverted: %v", err))
			continue
		}
		handling.Go(func() { r.connection(ctx, c, way) })
	}
}

// connection owns one diverted connection.
func (r *runner) connection(ctx context.Context, c *redirect.Conn, way mitm.Way) {
	if c.Dst.Port() == 53 {
		r.stub.ServeConn(ctx, c)
		return
	}
	o := exchange.Origin{Addr: c.Dst, Caller: c.Caller}
	o.Name, _ = r.pins.NameOf(c.Dst.Addr().Unmap())
	r.report.processes.of(c.Caller) // while it is there
	if r.flags.verbose {
		r.report.sayf("connection: %s to %s (%s)", callerName(o.Caller), hostPort(o), c.Dst)
	}
	way.Handle(ctx, c.Conn, o)
}

// quic serves QUIC, until the lane is closed.
func (r *runner) quic(ctx context.Context, way mitm.Way) {
	packets := r.lane.Packets(443)
	err := mitm.ServeQUIC(ctx, packets, way, func(client, queried netip.AddrPort) exchange.Origin {
		o := exchange.Origin{Addr: queried, Caller: packets.Sender(client, queried)}
		o.Name, _ = r.pins.NameOf(queried.Addr().Unmap())
		r.report.processes.of(o.Caller) // while it is there
		if r.flags.verbose {
			r.report.sayf("connection: %s by QUIC to %s (%s)", callerName(o.Caller), hostPort(o), queried)
		}
		return o
	})
	if err != nil {
		r.report.once(err.Error())
	}
}

// datagrams makes the relay of UDP that passes by us.
func (r *runner) datagrams() *datagramRelay {
	return &datagramRelay{packets: r.lane.Packets(0), rule: r.udp, name: r.pins.NameOf, dialer: &r.dialer}
}

// answer serves DNS over UDP.
func (r *runner) answer(ctx context.Context) {
	if err := r.stub.ServePackets(ctx, r.lane.Packets(53)); err != nil {
		r.report.once(fmt.Sprintf("dns: %v", err))
	}
}

// command runs CMD inside the diversion, to its end.
func (r *runner) command(ctx context.Context) (redirect.ExitStatus, error) {
	c := redirect.Command{Argv: r.argv, Env: withoutKey(r.plan.Env), Stdin: r.stdin, Stdout: r.stdout, Stderr: r.stderr, Signals: !r.beside}
	if r.env != nil {
		c.Env = r.env(c.Env)
	}
	stop := context.AfterFunc(ctx, func() { r.lane.Close() }) // which kills the command
	defer stop()
	for _, m := range r.plan.Mounts {
		c.Mounts = append(c.Mounts, redirect.Mount(m))
	}
	p, err := r.lane.Run(ctx, c)
	if err != nil {
		return redirect.ExitStatus{}, err
	}
	return p.Wait()
}
