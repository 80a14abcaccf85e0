package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/cassette/secret"
)

// A redactFlags is what is a secret, besides what serge-net knows itself.
type redactFlags struct {
	how      string // "on" or "off"
	headers  []string
	json     []string
	patterns []string
}

// register declares the flags on c.
func (f *redactFlags) register(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.how, "redact", "on", "off writes secrets as they are; on puts placeholders in their place")
	f.registerMore(c)
	choices(c, "redact", "on", "off")
}

// registerMore declares those that say what more is a secret.
func (f *redactFlags) registerMore(c *cobra.Command) {
	s := c.Flags()
	s.StringSliceVar(&f.headers, "redact-header", nil, "fields by `NAME` whose values are secrets too")
	s.StringArrayVar(&f.json, "redact-json", nil, "strings of JSON bodies at this `JSONPATH` are secrets too, as $.user.pin")
	s.StringArrayVar(&f.patterns, "redact-pattern", nil, "what matches this `REGEXP` is a secret too, or its first group")
}

// redaction is what f says. environ are the variables whose values may be
// secrets, of whoever makes the traffic.
func (f *redactFlags) redaction(environ []string) (cassette.Redaction, error) {
	if f.how == "off" {
		return cassette.Redaction{Off: true}, nil
	}
	set, err := secret.New(secret.Config{Known: secret.Environment(environ), Patterns: f.patterns, JSON: f.json})
	if err != nil {
		return cassette.Redaction{}, hint(fmt.Errorf("redact: %w", err),
			"--redact-pattern takes a regular expression as Go reads it, --redact-json a path as $.user.pin")
	}
	return cassette.Redaction{Set: set, Headers: f.headers}, nil
}

// secrets reads what is a secret in this run.
func (e *engine) secrets() (err error) {
	if e.redact, err = e.flags.redact.redaction(os.Environ()); err != nil {
		return err
	}
	if e.redact.Off && e.flags.mode != "passthrough" {
		e.report.warnf("redaction is off: secrets are written to %s as they are", e.flags.dir)
	}
	return nil
}

// replaced tells how many secrets are placeholders in a recording.
func (e *engine) replaced(sum cassette.Summary) {
	total := 0
	var parts []string
	for _, class := range sortedKeys(sum.Secrets) {
		total += sum.Secrets[class]
		parts = append(parts, fmt.Sprintf("%d %s", sum.Secrets[class], class))
	}
	if total > 0 {
		e.report.sayf("%s replaced by placeholders: %s", counted(total, "secret"), strings.Join(parts, ", "))
	}
}

// sortedKeys are the keys of m in order.
func sortedKeys(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
