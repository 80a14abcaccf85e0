package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/certs"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
)

// A proxyFlags is what proxy was asked to do.
type proxyFlags struct {
	engineFlags
	listen string
	caDir  string
}

func proxyCommand() *cobra.Command {
	f := proxyFlags{listen: defaultListen}
	c := &cobra.Command{
		Use:   "proxy [flags]",
		Short: "record or replay what clients send through an explicit proxy, on any system",
		Long: `proxy listens on one port for HTTP (CONNECT and absolute form) and SOCKS5, and
records or replays what is asked for through it, until Ctrl-C. It sees what was
told of it; to see all that a command does, use run. Clients have to trust the
CA that it keeps: serge-net ca. It exits with 96 if the recording is incomplete,
97 if requests missed, 98 if verify or --unused fail found something, 99 if
nothing was served.`,
		Example: `  serge-net proxy --cassette api
  curl -x http://127.0.0.1:8888 --cacert "$(serge-net ca path)" https://example.com/
  curl --socks5-hostname 127.0.0.1:8888 http://example.com/`,
		Args: noArgs,
		RunE: withConfig(func(c *cobra.Command, _ []string) error { return f.run(c) }),
	}
	f.registerMode(c)
	c.Flags().Var(listenAddr{&f.listen}, "listen", "where to listen; a port alone is one of 127.0.0.1")
	registerCADir(c, &f.caDir)
	f.register(c)
	return c
}

// run serves as c's flags say, until a signal, and returns an *exit with its code.
func (f *proxyFlags) run(c *cobra.Command) error {
	out, err := f.output(c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer out.Close()
	again := func(mode string) string {
		return fmt.Sprintf("serge-net proxy --mode %s --cassette %s", mode, shellWords([]string{f.cassette}))
	}
	e := &engine{flags: &f.engineFlags, client: "client", reach: "the proxy", again: again, report: newReport(out, f.quiet), start: time.Now()}
	e.account = newAccount(e)
	e.account.Lane = "proxy"
	return e.accounted((&proxy{engine: e, flags: f}).run(c.Context()))
}

// A proxy is one run of the engine behind a port. What it starts it ends, in the
// opposite order.
type proxy struct {
	*engine
	flags    *proxyFlags
	listener net.Listener
}

// run does it all. Its error is an *exit, or that serge-net could not start.
func (p *proxy) run(ctx context.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if p.listener, err = listen(ctx, p.flags.listen); err != nil {
		return err
	}
	defer p.listener.Close()
	if err := p.openCA(); err != nil {
		return err
	}
	if err := p.open(ctx); err != nil {
		p.abandon()
		return err
	}
	defer p.store.Close()
	way := p.compose()
	p.announce()
	p.serve(ctx, way, stop)
	return &exit{Code: p.ended(false, nil)}
}

// openCA takes the CA that is kept, or keeps one.
func (p *proxy) openCA() error {
	dir, err := caDir(p.flags.caDir)
	if err != nil {
		return err
	}
	made := false
	if p.ca, made, err = keepCA(dir); err != nil {
		return err
	}
	if made {
		p.report.warnf("made a CA, kept in %s; no client trusts it yet", dir)
	}
	p.report.trust = "serge-net ca install, or give it " + certs.CertPath(dir)
	return nil
}

// compose makes the one way that what clients ask for goes.
func (p *proxy) compose() mitm.Way {
	_, proxies := proxiesOf(os.Environ())
	upstream := p.upstream(p.roots, proxies)
	upstream.Dialer.Control = notOurselves(p.listener.Addr())
	return p.way(upstream)
}

// announce says where the proxy is, and warns if others can reach it.
func (p *proxy) announce() {
	addr := p.listener.Addr().(*net.TCPAddr)
	p.started("proxy on " + addr.String())
	if !addr.IP.IsLoopback() {
		p.report.warnf("WARNING: whoever reaches %s can use this proxy, to reach what this machine reaches and to see what is recorded; --listen %s is for this machine alone", addr, defaultListen)
	}
}

// serve hands each client on until ctx ends, and waits for them. stop lets the
// next signal end us at once.
func (p *proxy) serve(ctx context.Context, way mitm.Way, stop func()) {
	x := &mitm.Explicit{Way: p.seen(way), Refused: func(err error) { p.report.once(fmt.Sprintf("refused: %v", err)) }}
	release := context.AfterFunc(ctx, func() {
		p.listener.Close()
		stop()
	})
	defer release()
	var handling sync.WaitGroup
	defer handling.Wait()
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.report.once(fmt.Sprintf("not accepted: %v", err))
			continue
		}
		handling.Go(func() { x.Handle(ctx, c, exchange.Caller{}) })
	}
}

// seen is way, and with --verbose tells of each connection.
func (p *proxy) seen(way mitm.Way) mitm.Way {
	if !p.flags.verbose {
		return way
	}
	return told{way, func(o exchange.Origin) { p.report.sayf("connection: to %s", hostPort(o)) }}
}

// told is a way that tells of what goes it.
type told struct {
	mitm.Way
	tell func(exchange.Origin)
}

// Handle implements mitm.Way.
func (t told) Handle(ctx context.Context, client net.Conn, o exchange.Origin) {
	t.tell(o)
	t.Way.Handle(ctx, client, o)
}
