package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// The elements of a JUnit report, with all that readers of either dialect ask
// for, Ant's (https://github.com/windyroad/JUnit-Schema) and Jenkins's
// (https://github.com/jenkinsci/xunit-plugin): attributes that one of them wants
// are there, and nothing that one of them forbids.
type (
	junitSuites struct {
		XMLName xml.Name   `xml:"testsuites"`
		Suite   junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Package    string          `xml:"package,attr"`
		ID         int             `xml:"id,attr"`
		Timestamp  string          `xml:"timestamp,attr"` // UTC, without a zone
		Hostname   string          `xml:"hostname,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"` // seconds
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		Out        string          `xml:"system-out"`
		Err        string          `xml:"system-err"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Skipped *junitSkipped `xml:"skipped"`
		Error   *junitCause   `xml:"error"`
		Failure *junitCause   `xml:"failure"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
	junitCause struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit writes a as a suite: a test for each interaction that was served, passed;
// for each that was not, skipped, and for each WebSocket that ended early; for UDP
// that passed, passed; for each miss, failed; for what escaped and for what kept the
// run from its end, an error.
func (a *account) junit(w io.Writer) error {
	s := a.suite()
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Suite: s}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// suite is a with its cases, uncounted.
func (a *account) suite() junitSuite {
	host, _ := os.Hostname()
	class := "serge-net." + strings.NewReplacer(".", "_", "/", ".").Replace(a.Cassette.Name)
	s := junitSuite{
		Name: "serge-net " + a.Cassette.Name, Package: class, Hostname: cmp.Or(host, "localhost"),
		Timestamp: a.Started.Format("2006-01-02T15:04:05"), Time: fmt.Sprintf("%.3f", time.Duration(a.Duration*1e6).Seconds()),
		Properties: a.properties(), Err: a.Error,
	}
	add := func(kind, name string) *junitCase {
		s.Cases = append(s.Cases, junitCase{Class: class + "." + kind, Name: exchange.Visible(name), Time: "0"})
		return &s.Cases[len(s.Cases)-1]
	}
	if r := a.Replay; r != nil {
		for _, i := range r.used {
			add("interactions", i.name())
		}
		for _, i := range r.Unused {
			add("interactions", i.name()).Skipped = &junitSkipped{"not asked for"}
		}
		for _, u := range r.Unsaid {
			add("messages", u.Method+" "+u.URL).Skipped = &junitSkipped{exchange.Visible(u.Evidence)}
		}
		for _, m := range r.Misses {
			add("misses", m.Method+" "+m.URL).Failure = &junitCause{cmp.Or(m.Reason, "not recorded"), "miss", m.text}
		}
	}
	for _, e := range a.Escapes {
		if e.Kind == "passed" {
			add("passed", e.Text)
			continue
		}
		text := exchange.Visible(strings.ReplaceAll(e.Text, "\n", "; "))
		add("escapes", e.To).Error = &junitCause{text, e.Kind, text}
	}
	if a.Error != "" {
		add("run", "serge-net").Error = &junitCause{exchange.Visible(a.Error), "error", ""}
	}
	var out strings.Builder
	for _, p := range a.Problems {
		fmt.Fprintf(&out, "%s\n", strings.ReplaceAll(p.Text, "\n", "\n  "))
	}
	s.Out = out.String()
	return s
}

// name is what a test of r is called.
func (r recorded) name() string { return r.Method + " " + r.URL + " (" + r.ID + ")" }

// properties are the numbers of a.
func (a *account) properties() []junitProperty {
	all := []junitProperty{{"program", a.Program}, {"mode", a.Mode}, {"lane", a.Lane}, {"cassette", a.Cassette.Path}, {"exit code", strconv.Itoa(a.ExitCode)}}
	if r := a.Replay; r != nil {
		all = append(all, junitProperty{"served", strconv.Itoa(r.Served)}, junitProperty{"exact", strconv.Itoa(r.Exact)}, junitProperty{"assumed", strconv.Itoa(r.Assumed)},
			junitProperty{"missed", strconv.Itoa(r.Missed)}, junitProperty{"unused", strconv.Itoa(len(r.Unused))})
		for _, s := range append(r.Assumptions, r.Ambiguous...) {
			all = append(all, junitProperty{"assumed", s.Method + " " + s.URL + ": " + s.Evidence})
		}
	}
	if r := a.Record; r != nil {
		all = append(all, junitProperty{"recorded", strconv.Itoa(r.Interactions)}, junitProperty{"skipped", strconv.Itoa(r.Skipped)})
	}
	if a.Isolated != nil {
		all = append(all, junitProperty{"isolated", yesNo(*a.Isolated)})
	}
	return all
}
