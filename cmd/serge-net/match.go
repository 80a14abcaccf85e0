package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// plays makes the player, where the mode has one.
func (e *engine) plays() (err error) {
	if e.live() {
		return nil
	}
	e.player, err = e.cassette.Player(e.playOptions())
	return err
}

// playOptions is how the player answers.
func (e *engine) playOptions() cassette.PlayOptions {
	opt := cassette.PlayOptions{
		Rules:     e.rules,
		KeepDates: e.flags.shiftDates == "off",
		Redact:    e.redact,

		Descriptors: e.descriptors,
	}
	if len(e.flags.matchCallback) > 0 {
		e.callback = &callback{argv: e.flags.matchCallback}
		opt.Callback = e.callback.ask
	}
	if e.flags.match != "smart" {
		opt.Match = cassette.Match(e.flags.match)
	}
	opt.Latency, _ = cassette.ParseLatency(e.flags.latency) // the flag took it
	if e.flags.order != "none" {
		opt.Order = cassette.Order(e.flags.order)
	}
	if e.flags.repeat != "auto" {
		opt.Repeat = cassette.Repeat(e.flags.repeat)
	}
	return opt
}

// A matchFlags is what accept writes into a cassette and run holds to for once:
// how requests are matched.
type matchFlags struct {
	ignoreHeader []string
	ignoreQuery  []string
	ignoreBody   []string
	urlRegex     []string
	pathTemplate []string
	hostAlias    []string
	matchBody    []string
}

// register declares them on c.
func (f *matchFlags) register(c *cobra.Command) {
	s := c.Flags()
	s.StringSliceVar(&f.ignoreHeader, "ignore-header", nil, "request headers by `NAME` that never tell requests apart")
	s.StringSliceVar(&f.ignoreQuery, "ignore-query", nil, "query parameters by `NAME` that never tell requests apart")
	s.StringArrayVar(&f.ignoreBody, "ignore-body", nil, "values by `JSONPATH` that never tell bodies apart, as $.meta.*")
	s.StringArrayVar(&f.urlRegex, "url-regex", nil, "take URLs for others: `'REGEX => URL'`, with $1 for what a group matched")
	s.StringArrayVar(&f.pathTemplate, "path-template", nil, "a `PATH` in which what is in braces never tells, as /users/{id}/…")
	s.StringSliceVar(&f.hostAlias, "host-alias", nil, "take the host A for B: `A=B`")
	s.StringArrayVar(&f.matchBody, "match-body", nil, "compare bodies by `HOW`: json, partial, regex or none; 'HOW METHOD URL' those of one route")
	c.RegisterFlagCompletionFunc("match-body", cobra.FixedCompletions([]string{"json", "partial", "regex", "none"}, cobra.ShellCompDirectiveNoFileComp))
}

// urlArrow stands between the expression and the URL of --url-regex.
const urlArrow = " => "

// rules are what the flags say, one rule for each value, and what is wrong with it.
func (f *matchFlags) rules() ([]cassette.Rule, error) {
	var rules []cassette.Rule
	var errs []error
	add := func(flag string, values []string, rule func(v string) cassette.Rule) {
		for _, v := range values {
			r := rule(v)
			if err := r.Check(); err != nil {
				errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
			}
			rules = append(rules, r)
		}
	}
	add("ignore-header", f.ignoreHeader, func(v string) cassette.Rule { return cassette.Rule{IgnoreHeaders: []string{v}} })
	add("ignore-query", f.ignoreQuery, func(v string) cassette.Rule { return cassette.Rule{IgnoreQuery: []string{v}} })
	add("ignore-body", f.ignoreBody, func(v string) cassette.Rule { return cassette.Rule{IgnoreBody: []string{v}} })
	add("url-regex", f.urlRegex, func(v string) cassette.Rule {
		from, to, ok := strings.Cut(v, urlArrow)
		if !ok {
			errs = append(errs, hint(fmt.Errorf("--url-regex: %q says not what such URLs are taken for", v), "'REGEX%sURL'", urlArrow))
		}
		return cassette.Rule{URLRegex: from, As: to}
	})
	add("path-template", f.pathTemplate, func(v string) cassette.Rule { return cassette.Rule{PathTemplate: v} })
	add("host-alias", f.hostAlias, func(v string) cassette.Rule { return cassette.Rule{HostAlias: v} })
	add("match-body", f.matchBody, func(v string) cassette.Rule {
		how, route, _ := strings.Cut(v, " ")
		return cassette.Rule{Body: how, Route: route}
	})
	if len(errs) > 0 {
		return nil, hintUnlessHinted(errs[0], "docs/matching.md has an example of each")
	}
	return rules, nil
}
