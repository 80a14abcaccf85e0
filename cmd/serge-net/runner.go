package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/certs"
	"github.com/serge-net/serge-net/dnsstub"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
	"github.com/serge-net/serge-net/redirect"
)

// A runner is one run, from its flags to its exit code: the composition of all
// rooms. What it starts it ends, in the opposite order.
type runner struct {
	flags  *runFlags
	argv   []string
	report *report
	start  time.Time
	conf   *dnsstub.Conf // whom to ask for names; nil: as /etc/resolv.conf says
	stdout *os.File      // the command's; nil: ours

	pass     func(exchange.Origin) bool // what --bypass names; nil: nothing
	loopback []uint16                   // ports of --intercept-loopback
	roots    *x509.CertPool             // what origins are trusted by

	store    *cassette.Store
	before   footprint
	mode     string // record, replay, new or passthrough: auto is decided
	cassette *cassette.Cassette
	recorder *cassette.Recorder // nil: nothing is recorded
	player   *cassette.Player   // nil: nothing is replayed

	ca    *certs.CA
	plan  *certs.Plan
	stub  *dnsstub.Stub
	pins  *dnsstub.Pins
	lane  *redirect.Diversion
	serve sync.WaitGroup
}

// run does it all. Its error is an *exit, or that serge-net could not start.
func (r *runner) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.check(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		r.abandon()
		return err
	}
	defer r.store.Close()
	way, err := r.prepare(ctx)
	if err != nil {
		r.abandon()
		return err
	}
	r.started()
	r.serve.Go(func() { r.accept(ctx, way) })
	r.serve.Go(func() { r.answer(ctx) })
	status, runErr := r.command(ctx)
	beside := r.outside()
	closeErr := r.lane.Close()
	cancel()
	r.serve.Wait()
	r.plan.Close()
	code := r.finish(status, beside)
	if err := errors.Join(runErr, closeErr); err != nil {
		return err
	}
	if status.Err != nil {
		status.Err = fmt.Errorf("run %s: %w", r.argv[0], status.Err)
	}
	return &exit{Code: code, Err: status.Err}
}

// check reads what the flags say and what can be wrong with it, before
// anything is written.
func (r *runner) check() (err error) {
	if r.pass, err = bypassed(r.flags.bypass); err != nil {
		return err
	}
	if r.loopback, err = ports(r.flags.loopback); err != nil {
		return hint(fmt.Errorf("--intercept-loopback: %w", err), "ports are numbers from 1 to 65535, with commas between")
	}
	if r.roots, err = certs.UpstreamRoots(r.flags.upstreamCA...); err != nil {
		return hint(fmt.Errorf("--upstream-ca: %w", err), "it names a file with certificates in PEM")
	}
	return nil
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
	upstream, err := r.upstream(proxies)
	if err != nil {
		return nil, err
	}
	server := mitm.NewServer(r.ca.Leaf, false)
	tell := mitm.Tell{Trouble: r.report.trouble, Miss: r.report.miss}
	record := mitm.Record{Server: server, Upstream: upstream, Tell: tell}
	if r.recorder != nil {
		record.Watcher = r.recorder
	}
	way := r.way(record)
	if r.pass == nil {
		return way, nil
	}
	return &mitm.Bypass{Match: r.pass, Upstream: upstream, Tell: tell, Else: way}, nil
}

// way is that of the mode.
func (r *runner) way(record mitm.Record) mitm.Way {
	if r.mode == "record" || r.mode == "passthrough" {
		return &record
	}
	r.player = r.cassette.Player(r.playOptions())
	if r.replays() {
		return &mitm.Replay{Server: record.Server, Player: r.player, Tell: record.Tell}
	}
	return &mitm.Mixed{Record: record, Player: r.player, Missed: r.went}
}

// went tells of a miss that goes on to the origin.
func (r *runner) went(m *exchange.Miss) {
	if r.recorder == nil {
		r.report.warnf("not recorded, passed on: %s %s", m.Method, m.URL)
	}
}

// playOptions is how the player answers.
func (r *runner) playOptions() cassette.PlayOptions {
	opt := cassette.PlayOptions{
		IgnoreHeaders: r.flags.ignoreHeader,
		IgnoreQuery:   r.flags.ignoreQuery,
		KeepDates:     r.flags.shiftDates == "off",
	}
	if r.flags.repeat != "auto" {
		opt.Repeat = cassette.Repeat(r.flags.repeat)
	}
	return opt
}

// upstream is our way to the origins.
func (r *runner) upstream(proxies *proxySettings) (*mitm.Upstream, error) {
	roots, err := r.trusted()
	if err != nil {
		return nil, err
	}
	if proxies != nil {
		r.report.sayf("the command's %s is used for the way to the origins", proxies.names())
	}
	u := &mitm.Upstream{Roots: roots, Insecure: r.flags.insecure, Proxy: proxies.config(), Sessions: tls.NewLRUClientSessionCache(0)}
	if r.conf != nil {
		u.Dialer.Resolver = &net.Resolver{PreferGo: true, Dial: r.dialResolver}
	}
	return u, nil
}

// dialResolver connects to the run's own name server.
func (r *runner) dialResolver(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, r.conf.Servers[0].String())
}

// hermetic tells whether nothing but loopback may leave.
func (r *runner) hermetic() bool {
	return r.flags.hermetic || r.replays()
}

// replays tells whether nothing of this run goes to an origin.
func (r *runner) replays() bool { return r.mode == "replay" && r.flags.onMiss == "fail" }

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
	if r.flags.verbose {
		r.report.sayf("connection: %s to %s (%s)", callerName(o.Caller), hostPort(o), c.Dst)
	}
	way.Handle(ctx, c.Conn, o)
}

// answer serves DNS over UDP.
func (r *runner) answer(ctx context.Context) {
	if err := r.stub.ServePackets(ctx, r.lane.Packets(53)); err != nil {
		r.report.once(fmt.Sprintf("dns: %v", err))
	}
}

// command runs CMD inside the diversion, to its end.
func (r *runner) command(ctx context.Context) (redirect.ExitStatus, error) {
	c := redirect.Command{Argv: r.argv, Env: r.plan.Env, Stdout: r.stdout, Signals: true}
	for _, m := range r.plan.Mounts {
		c.Mounts = append(c.Mounts, redirect.Mount(m))
	}
	p, err := r.lane.Run(ctx, c)
	if err != nil {
		return redirect.ExitStatus{}, err
	}
	return p.Wait()
}
