package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/cassette/descriptor"
	"github.com/serge-net/serge-net/certs"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
)

// An engine is what run and proxy share: between what they were asked to do and
// the one way that connections go, however they come, and from there to the report.
type engine struct {
	flags  *engineFlags
	client string                   // who makes the exchanges, for messages: "command"
	reach  string                   // what it has to reach for that, for messages
	again  func(mode string) string // how a person would do the same in another mode
	// command is the program that makes the exchanges, without its directory; ""
	// if it is not known.
	command string
	report  *report
	start   time.Time

	reached func(step) // called at each step of a run; nil: nobody asks

	account *account // what --report tells

	pass   func(exchange.Origin) bool // what --bypass and the cassette's rules name; nil: nothing
	rules  []cassette.Rule            // of matching, beside the cassette's
	roots  *x509.CertPool             // what origins are trusted by; nil: the system's
	redact cassette.Redaction         // what is a secret

	store    *cassette.Store
	before   footprint
	mode     string // not auto: that is decided
	expired  bool   // the cassette is older than it may be
	cassette *cassette.Cassette
	recorder *cassette.Recorder // nil: nothing is recorded
	player   *cassette.Player   // nil: nothing is replayed
	callback *callback          // asked by player; nil: nobody is

	descriptors *descriptor.Set // what the fields of gRPC's messages are called; nil: nothing is said of that

	ca *certs.CA
}

// check reads what the flags say and what can be wrong with it, before
// anything is written.
func (e *engine) check() (err error) {
	if err := e.flags.reports.check(); err != nil {
		return err
	}
	if e.pass, err = bypassed("--bypass", e.flags.bypass); err != nil {
		return err
	}
	if err = e.secrets(); err != nil {
		return err
	}
	if e.rules, err = e.flags.matchFlags.rules(); err != nil {
		return err
	}
	if e.descriptors, err = describedBy(e.flags.proto); err != nil {
		return err
	}
	if e.roots, err = certs.UpstreamRoots(e.flags.upstreamCA...); err != nil {
		return hint(fmt.Errorf("--upstream-ca: %w", err), "it names a file with certificates in PEM")
	}
	return nil
}

// way is the one that connections go, by upstream where to an origin.
func (e *engine) way(upstream *mitm.Upstream) mitm.Way {
	if e.mode != "passthrough" {
		e.report.accept = "serge-net accept " + shellWords([]string{e.flags.cassette}) + inDir(e.flags.dir) + " --bypass "
	}
	tell := mitm.Tell{Trouble: e.report.trouble, Miss: e.report.miss}
	record := mitm.Record{Server: mitm.NewServer(e.ca.Leaf, false), Upstream: upstream, TCP: e.flags.records, Tell: tell}
	if e.recorder != nil {
		record.Watcher = e.recorder
	}
	way := e.wayOf(record)
	if e.pass == nil {
		return way
	}
	return &mitm.Bypass{Match: e.pass, Upstream: upstream, Tell: tell, Else: way}
}

// wayOf is that of the mode.
func (e *engine) wayOf(record mitm.Record) mitm.Way {
	if e.live() {
		return &record
	}
	if e.replays() {
		return &mitm.Replay{Server: record.Server, Player: e.player, Refusal: refusalOf(e.flags.onMiss), Tell: record.Tell}
	}
	return &mitm.Mixed{Record: record, Player: e.player, Missed: e.went}
}

// went tells of a miss that goes on to the origin.
func (e *engine) went(m *exchange.Miss) {
	if e.recorder == nil {
		e.report.warnf("not recorded, passed on: %s %s", m.Method, m.URL)
	}
}

// upstream is our way to the origins, who are trusted by roots.
func (e *engine) upstream(roots *x509.CertPool, proxies *proxySettings) *mitm.Upstream {
	if proxies != nil {
		e.report.sayf("the %s's %s is used for the way to the origins", e.client, proxies.names())
	}
	return &mitm.Upstream{Roots: roots, Insecure: e.flags.insecure, Proxy: proxies.config(), Sessions: tls.NewLRUClientSessionCache(0)}
}

// replays tells whether nothing of this run goes to an origin.
func (e *engine) replays() bool {
	return e.mode == "replay" && e.flags.onMiss != "passthrough" && e.flags.onMiss != "record"
}

// refusalOf is how --on-miss has a miss answered where nothing goes on.
func refusalOf(onMiss string) mitm.Refusal {
	if text, ok := strings.CutPrefix(onMiss, "status:"); ok {
		if n, err := strconv.Atoi(text); err == nil && n >= 400 && n <= 599 {
			return mitm.Refusal{Status: n}
		}
	}
	return mitm.Refusal{Reset: onMiss == "reset"}
}
