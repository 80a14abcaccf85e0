package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/dnsstub"
	"github.com/serge-net/serge-net/mitm"
	"github.com/serge-net/serge-net/redirect"
)

// prepare makes what the run needs. Trust and lane know nothing of each other,
// and take as long: they are made at the same time.
func (r *runner) prepare(ctx context.Context) (way mitm.Way, err error) {
	// There is little to collect yet, and collecting would take a fifth of the start.
	if !r.beside {
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
	}
	var composing sync.WaitGroup
	var composed error
	composing.Go(func() { way, composed = r.compose() })
	err = r.divert(ctx)
	composing.Wait()
	if err := errors.Join(composed, err); err != nil {
		return nil, err
	}
	if !r.lane.Private() {
		if err := r.trustByEnvironment(); err != nil {
			return nil, err
		}
	}
	return way, r.names()
}

// divert starts the lane.
func (r *runner) divert(ctx context.Context) error {
	target := redirect.Target{
		Hermetic:  r.hermetic(),
		Pass:      r.udp.target(),
		Pinned:    r.pinned(),
		Loopback:  r.loopback,
		QUIC:      r.flags.quic == "record",
		HostPorts: r.hosts,
		Publish:   r.publish,
		Agent:     agentSocket(),
		Init:      []string{initArg},
		Reached:   r.diverting,
	}
	for _, s := range resolvers("/etc/resolv.conf").Servers {
		target.Resolvers = append(target.Resolvers, s.Addr())
	}
	lanes := redirect.Lanes()
	if r.flags.backend != "auto" {
		lanes = slices.DeleteFunc(lanes, func(l redirect.Lane) bool { return l.String() != r.flags.backend })
	}
	var err error
	r.lane, err = redirect.Start(ctx, target, lanes...)
	if err != nil && len(lanes) > 1 {
		return hint(err, "serge-net doctor says what each lane needs, and how to get it")
	}
	return err
}

// pinned are the destinations that stand for names.
func (r *runner) pinned() []netip.Prefix {
	if r.flags.dns == "real" {
		return nil
	}
	return dnsstub.PinRanges()
}

// resolvers is what the file at path says of the host's name servers. Without
// the file there is one on this host: resolv.conf(5).
func resolvers(path string) dnsstub.Conf {
	b, _ := os.ReadFile(path)
	return dnsstub.ParseConf(b)
}

// names makes the stub DNS: it asks the host's resolvers, or in a replay nobody.
func (r *runner) names() error {
	conf := resolvers("/etc/resolv.conf")
	if r.conf != nil {
		conf = *r.conf
	}
	r.pins = new(dnsstub.Pins)
	r.stub = &dnsstub.Stub{
		Pins:    r.pins,
		Real:    r.flags.dns == "real",
		Replay:  r.player != nil,
		HTTP3:   r.flags.quic == "record",
		Search:  conf.Search,
		OnError: func(name string, err error) { r.report.once(fmt.Sprintf("dns: %s: %v", name, err)) },
	}
	for _, p := range r.cassette.Pins {
		if err := r.pins.Add(dnsstub.Pin(p)); err != nil {
			return fmt.Errorf("cassette %s: %w", r.store.Path(r.flags.cassette), err)
		}
	}
	for _, d := range r.cassette.DNS {
		if r.player == nil {
			break // all of it is asked again
		}
		r.stub.Kept = append(r.stub.Kept, dnsstub.Record(d))
	}
	if !r.replays() {
		r.stub.Upstream = &dnsstub.Client{Conf: conf, Dial: r.dialer.DialContext}
	}
	if r.recorder != nil {
		r.stub.Recorded = func(rec dnsstub.Record) { r.kept(r.recorder.DNS(cassette.DNS(rec))) }
		r.stub.Pinned = func(p dnsstub.Pin) { r.kept(r.recorder.Pin(cassette.Pin(p))) }
	}
	return nil
}
