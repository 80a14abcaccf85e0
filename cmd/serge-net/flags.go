package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serge-net/serge-net/cassette"
)

// An engineFlags is what run and proxy can both be asked to do.
type engineFlags struct {
	recordFlags
	bypass   []string
	mode     string
	cassette string
	rack
	format  string
	encrypt bool
	onMiss  string
	repeat  string
	match   string
	maxAge  string
	expiry  string
	order   string
	unused  string
	matchFlags
	proto         []string
	latency       string
	matchCallback []string
	shiftDates    string
	redact        redactFlags
	upstreamCA    []string
	insecure      bool
	reports       reportList
	log           string
	verbose       bool
	quiet         bool
}

// registerMode declares on c the flags that record and replay say in words.
func (f *engineFlags) registerMode(c *cobra.Command) {
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&f.mode, "mode", "auto", "auto replays what is recorded, else records, and never records where CI=true; docs/cassettes.md has them all")
	s.StringVar(&f.cassette, "cassette", defaultCassette, "the cassette's `NAME`")
	choices(c, "mode", modes()...)
	c.RegisterFlagCompletionFunc("cassette", completeCassettes)
}

// modes are the words that --mode takes.
func modes() []string {
	return []string{"auto", "record", "replay", "new", "append", "refresh", "verify", "passthrough"}
}

// register declares the other flags on c.
func (f *engineFlags) register(c *cobra.Command) {
	s := c.Flags()
	s.SortFlags = false
	f.rack.register(c)
	s.StringVar(&f.format, "format", "json", "the form of a new cassette; one that is there keeps its own, until serge-net convert")
	s.BoolVar(&f.encrypt, "encrypt", false, "encrypt what is recorded, with the key of SERGE_KEY or --key-file; what is encrypted stays so")
	s.StringVar(&f.onMiss, "on-miss", "fail", "what a request gets that is not recorded: 501 or another status, a reset, the real answer, or that and be recorded")
	s.StringVar(&f.match, "match", "smart", "how far a request may be from a recorded one: smart lets random values and times differ on evidence, exact nothing, loose takes the nearest")
	f.matchFlags.register(c)
	s.StringArrayVar(&f.matchCallback, "match-callback", nil, "ask this `PROGRAM` of requests that nothing else matches; once more for each of its arguments")
	s.StringVar(&f.repeat, "repeat", "auto", "what a request gets that was served as often as it was recorded; auto is last for safe methods, else never")
	s.StringVar(&f.maxAge, "max-age", "", "how old the cassette may be, 720h or 30d; 0: as old as it likes; default: as it says itself")
	s.StringVar(&f.expiry, "expired", "warn", "what is done with an older one; refresh: by mode auto, if the network is there")
	s.StringVar(&f.order, "order", "none", "what a request gets that is not the next one recorded, of its host or of all: a miss; none asks for no order")
	s.StringVar(&f.unused, "unused", "ignore", "what is said of recordings that were not asked for: their number, a line for each, or that and exit code 98")
	s.StringVar(&f.latency, "latency", "none", "how long a served answer takes: no time, as long as recorded or a part of it, or a time")
	s.StringVar(&f.shiftDates, "shift-dates", "on", "move the dates in served headers to today")
	s.StringSliceVar(&f.proto, "proto", nil, "call fields of gRPC by the names in `FILE`, a .proto file or a descriptor set")
	f.recordFlags.register(c)
	f.redact.register(c)
	s.StringSliceVar(&f.bypass, "bypass", nil, "let `HOST|CIDR|PORT` pass untouched and unrecorded")
	s.StringSliceVar(&f.upstreamCA, "upstream-ca", nil, "trust the CAs in `FILE` too, beside the system's")
	s.BoolVar(&f.insecure, "upstream-insecure", false, "accept any certificate of an origin")
	registerReport(c, &f.reports)
	s.StringVar(&f.log, "log", "", "write to `FILE` instead of the terminal")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "say more: the steps of a run, each connection and whose it is")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but what needs attention")
	choices(c, "format", "json", "msgpack")
	choices(c, "match", "smart", "exact", "loose")
	choices(c, "on-miss", "fail", "passthrough", "record", "reset").or(func(s string) bool { return refusalOf(s).Status != 0 }, "status:400…599")
	choices(c, "latency", "none", "recorded").or(func(s string) bool {
		_, err := cassette.ParseLatency(s)
		return err == nil
	}, "xF", "DUR", "DUR±DUR", "lognormal:DUR,SIGMA")
	choices(c, "repeat", "auto", "never", "last", "first", "cycle")
	choices(c, "max-age", "0").or(func(s string) bool {
		_, err := cassette.ParseAge(s)
		return err == nil
	}, "DUR")
	choices(c, "expired", "warn", "fail", "refresh")
	choices(c, "order", "none", "host", "all")
	choices(c, "unused", "ignore", "report", "fail")
	choices(c, "shift-dates", "on", "off")
	c.MarkFlagFilename("upstream-ca", "pem", "crt")
	c.MarkFlagFilename("proto", "proto", "binpb", "pb", "protoset")
}

// choices holds the values of c's flag name to words, and has the shell complete
// them.
func choices(c *cobra.Command, name string, words ...string) *choice {
	c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	f := c.Flags().Lookup(name)
	chosen := &choice{Value: f.Value, words: words}
	f.Value = chosen
	return chosen
}

// ownFlag marks a flag that is called like one of run and means something else:
// neither the environment nor the configuration file sets it.
const ownFlag = "serge-net-own"

// makeOwn marks c's flag name so.
func makeOwn(c *cobra.Command, name string) { c.Flags().SetAnnotation(name, ownFlag, nil) }

// isOwn says whether f is marked so.
func isOwn(f *pflag.Flag) bool { _, own := f.Annotations[ownFlag]; return own }

// output is where serge-net itself writes.
func (f *engineFlags) output(stderr io.Writer) (io.WriteCloser, error) {
	if f.log == "" {
		return nopCloser{stderr}, nil
	}
	before := footprintOf([]string{f.log})
	file, err := os.OpenFile(f.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, hint(fmt.Errorf("--log: %w", err), "it names a file that can be written, in a directory that is there")
	}
	before.own([]string{f.log})
	return file, nil
}

// nopCloser is a Writer whose Close does nothing.
type nopCloser struct{ io.Writer }

// Close does nothing.
func (nopCloser) Close() error { return nil }
