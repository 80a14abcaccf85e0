package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An autobahnReport is what the Autobahn test suite says.
type autobahnReport struct{ sections []section }

// A judgement is the suite's on one case: of the behavior, and of how it was closed.
type judgement struct {
	Behavior        string `json:"behavior"`
	BehaviorClose   string `json:"behaviorClose"`
	RemoteCloseCode int    `json:"remoteCloseCode"`
}

// passed reports whether v is no failure.
func (v judgement) passed() bool { return v.Behavior != "FAILED" && v.BehaviorClose != "FAILED" }

// String is v in a few words.
func (v judgement) String() string {
	s := v.Behavior
	if v.BehaviorClose != v.Behavior {
		s += ", closed " + v.BehaviorClose
	}
	return s
}

// A section is the verdicts on one program, by way and case.
type section struct {
	name     string
	verdicts map[string]map[string]judgement
	saw      []divergence // of a client in a replay
	took     []time.Duration
	runs     int
}

// A divergence is of a case that is not as it is direct.
type divergence struct{ id, way, was, is string }

// differences are those of s, in the order of the cases.
func (s section) differences() []divergence {
	out := slices.Clone(s.saw)
	for _, id := range slices.SortedFunc(maps.Keys(s.verdicts["direct"]), byNumbers) {
		was := s.verdicts["direct"][id].String()
		for _, way := range autobahnWays()[1:] {
			if s.verdicts[way] == nil {
				continue
			}
			if is := s.verdicts[way][id].String(); is != was {
				out = append(out, divergence{id, way, was, is})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b divergence) int { return byNumbers(a.id, b.id) })
	return out
}

// unargued are the cases that do not end as they do direct, without a reason.
func (s section) unargued() []string {
	var ids []string
	for _, d := range s.differences() {
		if argued(d) == "" && !slices.Contains(ids, d.id) {
			ids = append(ids, d.id)
		}
	}
	return ids
}

// byNumbers compares the numbers of cases.
func byNumbers(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		n, _ := strconv.Atoi(x)
		m, _ := strconv.Atoi(y)
		return n - m
	})
}

// counts is how many cases passed, strictly and not, and how many did not.
func (s section) counts(way string) (ok, other, failed int) {
	for _, v := range s.verdicts[way] {
		switch {
		case !v.passed():
			failed++
		case v.Behavior == "OK" && v.BehaviorClose == "OK":
			ok++
		default:
			other++
		}
	}
	return ok, other, failed
}

// write writes the report as Markdown.
func (a *autobahnReport) write(path string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# WebSocket conformance

What the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) 25.10.1 says of programs that are tested direct, through
serge-net while it records, and in its replay of that. Written by `+"`make conformance`"+` on %s with %s. It fails where a result
is not the direct one, and that is not argued here.

OK is as the standard says; other is the suite's NON-STRICT (not as early as it could) and INFORMATIONAL (it only tells what it saw). While
recording bytes pass untouched. In a replay the server that is tested is serge-net's own, which plays what the other said.

| program | way | cases | OK | other | failed | seconds |
|---|---|---|---|---|---|---|
`, time.Now().UTC().Format(time.DateOnly), runtime.Version())
	for _, s := range a.sections {
		for i, way := range autobahnWays() {
			if s.verdicts[way] == nil {
				fmt.Fprintf(&b, "| %s | %s | %d | %d cases seen as recorded | | %d not | %.0f |\n", s.name, way, len(s.verdicts["direct"]), len(s.verdicts["direct"])-len(s.saw), len(s.saw), s.took[i].Seconds())
				continue
			}
			ok, other, failed := s.counts(way)
			fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %.0f |\n", s.name, way, len(s.verdicts[way]), ok, other, failed, s.took[i].Seconds())
		}
	}
	fmt.Fprintf(&b, "\nCases: %s.\n\n## What differs\n\n| program | case | way | direct | there | argued |\n|---|---|---|---|---|---|\n", strings.Join(cases(), ", "))
	for _, s := range a.sections {
		for _, d := range s.differences() {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", s.name, d.id, d.way, d.was, d.is, argued(d))
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// argued is why d is as it should be, or "".
func argued(d divergence) string {
	passes := func(s string) bool {
		return strings.HasPrefix(s, "OK") || strings.HasPrefix(s, "NON-STRICT") || strings.HasPrefix(s, "INFORMATIONAL")
	}
	switch {
	case strings.Contains(d.was, "invalid compression negotiation"):
		return "gorilla offers compression without context alone, the suite's server does not grant that, and gorilla leaves; a replay grants what is asked for"
	case passes(d.was) && passes(d.is):
		return "both are allowed: how soon a violation is noticed, and what of before it was answered, is a matter of timing direct too; our endpoint notices at once"
	}
	return ""
}
