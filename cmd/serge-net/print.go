package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// shownBody is how many bytes of a body show prints.
const shownBody = 4 << 10

// printCassette writes a line for each interaction.
func printCassette(w io.Writer, c *cassette.Cassette) error {
	fmt.Fprintf(w, "%s: %s, recorded %s with %s\n", exchange.Visible(c.Name), interactions(len(c.Interactions)), c.RecordedAt.Format("2006-01-02 15:04:05Z"), exchange.Visible(c.RecordedWith))
	if c.Incomplete {
		fmt.Fprintln(w, "incomplete: the recording was cut off, or its command failed")
	}
	for _, p := range c.Rules.Bypass {
		fmt.Fprintf(w, "rule: %s passes untouched and unrecorded\n", exchange.Visible(p))
	}
	for _, r := range c.Rules.Match {
		fmt.Fprintf(w, "rule: %s\n", exchange.Visible(r.String()))
	}
	for _, i := range c.Interactions {
		fmt.Fprintf(w, "%4d  %-28s %s\n", i.Seq, exchange.Visible(i.ID), exchange.Visible(i.Line()))
	}
	for _, d := range c.DNS {
		fmt.Fprintf(w, "      dns %s %s -> %s\n", exchange.Visible(d.Name), exchange.Visible(d.Type), exchange.Visible(d.Rcode))
	}
	return nil
}

// printInteraction writes one exchange in the form of HTTP/1, whatever it was.
func printInteraction(w io.Writer, i *cassette.Interaction) error {
	if i.Converses() {
		return printConversation(w, i)
	}
	fmt.Fprintf(w, "%s %s HTTP/%s\n", exchange.Visible(i.Request.Method), exchange.Visible(i.Request.URL), exchange.Visible(i.Request.Version))
	printFields(w, i.Request.Fields)
	if err := printBody(w, i.Request.Body); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if i.Response == nil {
		_, err := fmt.Fprintf(w, "no response: %s: %s\n", exchange.Visible(i.Failure.Kind), exchange.Visible(i.Failure.Cause))
		return err
	}
	for _, n := range i.Response.Informational {
		fmt.Fprintf(w, "%d %s\n", n.Status, exchange.Visible(n.Reason))
		printFields(w, n.Fields)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d %s\n", i.Response.Status, exchange.Visible(i.Response.Reason))
	printFields(w, i.Response.Fields)
	if err := printBody(w, i.Response.Body); err != nil {
		return err
	}
	printFields(w, i.Response.Trailers)
	if i.Response.End != exchange.Complete {
		fmt.Fprintf(w, "(%s)\n", i.Response.End)
	}
	if err := printUpgraded(w, i.Passed()); err != nil {
		return err
	}
	if s := i.WebSocket; s != nil && s.Close != nil {
		fmt.Fprintf(w, "\n%s closed: %d %s\n", s.Close.From, s.Close.Code, exchange.Visible(s.Close.Reason))
	}
	_, err := fmt.Fprintf(w, "\nafter %s: sent in %s, answered after %s, received in %s\n", i.Timing.Start.Round(time.Millisecond),
		i.Timing.Send.Round(time.Millisecond), i.Timing.Wait.Round(time.Millisecond), i.Timing.Receive.Round(time.Millisecond))
	return err
}

// printConversation writes what was said on a connection that is no HTTP.
func printConversation(w io.Writer, i *cassette.Interaction) error {
	fmt.Fprintf(w, "%s\n", exchange.Visible(i.Line()))
	if err := printUpgraded(w, i.Upgraded); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nafter %s: for %s\n", i.Timing.Start.Round(time.Millisecond), i.Timing.Receive.Round(time.Millisecond))
	return err
}

// printUpgraded writes what was said after an upgrade, or in a conversation.
func printUpgraded(w io.Writer, ms []cassette.Message) error {
	for _, m := range ms {
		if m.StartTLS {
			fmt.Fprint(w, "\nfrom here on inside TLS\n")
			continue
		}
		if m.HalfClose {
			fmt.Fprintf(w, "\n%s says no more\n", m.From)
			continue
		}
		fmt.Fprintf(w, "\n%s, %s:", m.From, counted(int(m.Body.Size), "byte"))
		if err := printBody(w, m.Body); err != nil {
			return err
		}
	}
	return nil
}

// printFields writes fields, a line each.
func printFields(w io.Writer, fields []exchange.Field) {
	for _, f := range fields {
		fmt.Fprintf(w, "%s: %s\n", exchange.Visible(f.Name), exchange.Visible(f.Value))
	}
}

// printBody writes the start of b behind an empty line, or what it is if it is
// no text.
func printBody(w io.Writer, b cassette.Body) error {
	text, err := shownOf(b)
	if err != nil || b.Size == 0 {
		return err
	}
	fmt.Fprintln(w)
	if !isText(wholeRunes(text[:min(len(text), shownBody)])) {
		_, err := fmt.Fprintf(w, "(%d bytes that are no text)\n", b.Size)
		return err
	}
	cut := len(text) > shownBody || int64(len(text)) < b.Size
	if cut {
		text = wholeRunes(text[:min(len(text), shownBody)])
	}
	printText(w, string(text))
	if cut {
		fmt.Fprintf(w, "(cut here: the body has %d bytes)\n", b.Size)
	}
	return nil
}

// shownOf is b as it is shown, JSON on lines of its own, or the start of it.
func shownOf(b cassette.Body) ([]byte, error) {
	data, whole, err := b.Whole()
	if err != nil {
		return nil, err
	}
	if whole {
		var out bytes.Buffer
		if len(data) > 0 && strings.IndexByte("{[", data[0]) >= 0 && json.Indent(&out, data, "", "  ") == nil {
			return out.Bytes(), nil
		}
		return data, nil
	}
	r, err := b.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	start := make([]byte, shownBody)
	n, err := io.ReadFull(r, start)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return start[:n], err
}

// isText tells whether b is to be read by people.
func isText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// wholeRunes is b without the start of a rune that it was cut in.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// printText writes s, which ends in a line end then, such that it drives no
// terminal.
func printText(w io.Writer, s string) {
	for line := range strings.Lines(s) {
		parts := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		for i, p := range parts {
			parts[i] = exchange.Visible(p)
		}
		fmt.Fprintln(w, strings.Join(parts, "\t"))
	}
}
