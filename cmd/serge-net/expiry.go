package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
)

// aged does what --expired says if the cassette is older than it may be. What
// asks the origins anyhow needs no word about that.
func (e *engine) aged(ctx context.Context) error {
	most, err := e.maxAge()
	if err != nil {
		return fmt.Errorf("cassette %s: %w", e.cassettePath(), err)
	}
	age := time.Since(e.cassette.RecordedAt) // both are instants: no zone matters
	e.expired = most > 0 && !e.cassette.RecordedAt.IsZero() && age > most
	if !e.expired || e.live() {
		return nil
	}
	old := fmt.Errorf("cassette %s is %s old, and may be %s", e.cassettePath(), days(age), days(most))
	remedy := "refresh it where the network is: " + e.again("refresh")
	switch e.flags.expiry {
	case "fail":
		return hint(old, "%s", remedy)
	case "refresh":
		if why := e.unrefreshable(ctx); why != "" {
			e.report.warnf("warning: %v; not refreshed: %s", old, why)
			return nil
		}
		e.report.sayf("%v; refreshing it", old)
		e.mode = "refresh"
	default:
		e.report.warnf("warning: %v\n  %s", old, remedy)
	}
	return nil
}

// maxAge is how old the cassette may be: as was said for this run, else by its
// own word. 0 is as old as it likes.
func (e *engine) maxAge() (time.Duration, error) {
	if e.flags.maxAge == "" {
		return e.cassette.MaxAge()
	}
	return cassette.ParseAge(e.flags.maxAge)
}

// days is d for a person.
func days(d time.Duration) string {
	if n := int(d.Hours() / 24); n >= 2 {
		return fmt.Sprintf("%d days", n)
	}
	return d.Round(time.Second).String()
}

// unrefreshable is why an expired cassette is replayed as it is, "" if it is not.
func (e *engine) unrefreshable(ctx context.Context) string {
	switch {
	case e.flags.mode != "auto":
		return "--mode " + e.flags.mode + " does not"
	case inCI():
		return "CI=true never records"
	case !e.answers(ctx):
		return "none of its origins can be reached"
	}
	return ""
}

// answersWithin is how long an origin has to accept a connection before the
// network counts as not there, and answersAsked how many origins are tried.
const (
	answersWithin = 3 * time.Second
	answersAsked  = 8
)

// answers tells whether one of the recorded origins accepts a connection.
func (e *engine) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	_, proxies := proxiesOf(os.Environ())
	upstream := &mitm.Upstream{Proxy: proxies.config()}
	type place struct {
		host string
		port uint16
	}
	tried := map[place]bool{}
	var dialing sync.WaitGroup
	defer dialing.Wait()
	reached := make(chan bool, answersAsked)
	for c := range e.cassette.Profiles() {
		o := exchange.Origin{Name: c.Host, Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), c.Port)}
		at := place{c.Host, c.Port}
		if c.Port == 0 || len(tried) == answersAsked || tried[at] {
			continue
		}
		tried[at] = true
		dialing.Go(func() {
			conn, err := upstream.Dial(ctx, o)
			if err == nil {
				conn.Close()
			}
			reached <- err == nil
		})
	}
	for range tried {
		if <-reached {
			cancel()
			return true
		}
	}
	return false
}
