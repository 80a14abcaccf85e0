package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/serge-net/serge-net/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A says is what one side sent in one go.
type says struct {
	from exchange.Side
	text string
}

func c(text string) says { return says{exchange.Client, text} }
func s(text string) says { return says{exchange.Server, text} }

// A listener keeps a copy of the events it is told, Data of one piece joined.
type listener struct{ events []exchange.Event }

func (l *listener) emit(e exchange.Event) {
	if n := len(l.events); n > 0 && e.Kind == exchange.KindData && e.Chunk == 0 && e.Raw == nil {
		// Only the two sides of a tunnel interleave, and there order is by side.
		for i := n - 1; i >= 0; i-- {
			last := &l.events[i]
			if last.From != e.From {
				continue
			}
			if last.Kind == exchange.KindData && last.Stream == e.Stream {
				last.Data = append(last.Data, e.Data...)
				return
			}
			break
		}
	}
	e.Data, e.Raw = bytes.Clone(e.Data), bytes.Clone(e.Raw)
	e.Fields = append([]exchange.Field(nil), e.Fields...)
	if e.Head != nil {
		h := *e.Head
		h.Fields, h.Raw = append([]exchange.Field(nil), h.Fields...), bytes.Clone(h.Raw)
		e.Head = &h
	}
	if e.End != nil {
		end := *e.End
		e.End = &end
	}
	l.events = append(l.events, e)
}

// lines is the events in short, one a line.
func (l *listener) lines() []string {
	var lines []string
	for _, e := range l.events {
		line := fmt.Sprintf("%c%d ", e.From.String()[0], e.Stream)
		switch e.Kind {
		case exchange.KindHead:
			h := e.Head
			if h.Status == 0 {
				line += fmt.Sprintf("%s %s://%s %s %s", h.Method, h.Scheme, h.Authority, h.Target, h.Version)
			} else {
				line += fmt.Sprintf("%d %q %s", h.Status, h.Reason, h.Version)
			}
			line += show(h.Fields)
			if h.Raw != nil {
				line += " raw"
			}
		case exchange.KindData:
			line += fmt.Sprintf("data %q", e.Data)
			if e.Chunk > 0 {
				line += fmt.Sprintf(" of %d", e.Chunk)
			}
		case exchange.KindTrailers:
			line += "trailers" + show(e.Fields)
		case exchange.KindEnd:
			line += e.End.How.String()
		}
		if e.Raw != nil {
			line += fmt.Sprintf(" raw %q", e.Raw)
		}
		lines = append(lines, line)
	}
	return lines
}

func show(fields []exchange.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, " [%s=%s]", f.Name, f.Value)
	}
	return b.String()
}

// decode feeds talk in pieces that cut tells the size of, and closes both
// sides, the server's first.
func decode(talk []says, cut func(left int) int) (*listener, *Decoder, error) {
	d, l := NewDecoder("http"), &listener{}
	for _, t := range talk {
		for b := []byte(t.text); len(b) > 0; {
			n := cut(len(b))
			// A piece of its own, overwritten afterwards: nothing may alias it.
			piece := bytes.Clone(b[:n])
			if err := d.Feed(t.from, time.Second, piece, l.emit); err != nil {
				return l, d, err
			}
			clear(piece)
			b = b[n:]
		}
	}
	for _, from := range []exchange.Side{exchange.Server, exchange.Client} {
		if err := d.Close(from, time.Second, exchange.End{}, l.emit); err != nil {
			return l, d, err
		}
	}
	return l, d, nil
}

func whole(left int) int { return left }
func bytewise(int) int   { return 1 }

// at cuts the first piece after n bytes of the talk.
func at(n int) func(int) int {
	return func(left int) int {
		if n > 0 && n < left {
			left, n = n, 0
		} else {
			n -= left
		}
		return left
	}
}

// print encodes the events again, each side's bytes apart.
func print(events []exchange.Event) (sides [2]string, err error) {
	encoders := map[uint64]*[2]*Encoder{}
	var dst [2][]byte
	for _, e := range events {
		pair := encoders[e.Stream]
		if pair == nil {
			pair = &[2]*Encoder{NewRequestEncoder(), NewEncoder(e.Head)}
			encoders[e.Stream] = pair
		}
		if e.From == exchange.Client && pair[1].Tunnel() && (e.Kind == exchange.KindData || e.Kind == exchange.KindEnd) {
			dst[0] = append(dst[0], e.Data...)
			continue
		}
		if dst[e.From], err = pair[e.From].Encode(dst[e.From], e); err != nil {
			return sides, err
		}
	}
	return [2]string{string(dst[0]), string(dst[1])}, nil
}

func TestForms(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			size := 0
			var said [2]string
			for _, x := range f.talk {
				size += len(x.text)
				said[x.from] += x.text
			}
			for n := range size + 1 {
				cut := at(n)
				if n == 0 {
					cut = bytewise
				}
				l, _, err := decode(f.talk, cut)
				if err != nil {
					t.Fatalf("decode, cut at %d: %v", n, err)
				}
				if diff := cmp.Diff(f.want, l.lines()); diff != "" {
					t.Fatalf("events, cut at %d (-want +got):\n%s", n, diff)
				}
				got, err := print(l.events)
				if err != nil || got != said {
					t.Fatalf("printed, cut at %d:\n%q, %v; want\n%q", n, got, err, said)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			for name, cut := range map[string]func(int) int{"whole": whole, "bytewise": bytewise} {
				l, d, err := decode(tt.talk, cut)
				if !errors.Is(err, tt.want) {
					t.Fatalf("decode %s = %v; want %v", name, err, tt.want)
				}
				n := len(l.events)
				for _, from := range []exchange.Side{exchange.Client, exchange.Server} {
					if again := d.Feed(from, 0, []byte(get), l.emit); again != err {
						t.Errorf("Feed after %v = %v; want the same", err, again)
					}
					if again := d.Close(from, 0, exchange.End{}, l.emit); again != err {
						t.Errorf("Close after %v = %v; want the same", err, again)
					}
				}
				if len(l.events) != n {
					t.Errorf("%d events after an error; want none", len(l.events)-n)
				}
				// What events carry and what Rest has is a whole number of bytes fed.
				last := tt.talk[len(tt.talk)-1]
				if rest := string(d.Rest(last.from)); name == "whole" && !strings.HasSuffix(last.text, rest) || rest == "" {
					t.Errorf("Rest = %.60q; want an end of %.60q", rest, last.text)
				}
			}
		})
	}
}

func TestReset(t *testing.T) {
	d, l := NewDecoder("https"), &listener{}
	d.Feed(exchange.Client, 0, []byte(get), l.emit)
	d.Feed(exchange.Server, 0, []byte("HTTP/1.1 200 OK\r\n\r\nab"), l.emit)
	end := exchange.End{How: exchange.Reset, Err: "connection reset by peer"}
	if err := d.Close(exchange.Server, 0, end, l.emit); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(exchange.Server, 0, end, l.emit); err != nil {
		t.Fatalf("Close again = %v; want nil", err)
	}
	if err := d.Feed(exchange.Server, 0, []byte("x"), l.emit); err == nil {
		t.Error("Feed after Close = nil; want an error")
	}
	if got := l.events[len(l.events)-1].End; *got != end {
		t.Errorf("End = %+v; want %+v", *got, end)
	}
}

// TestAnswer plays a server: the decoder sees the client's bytes only.
func TestAnswer(t *testing.T) {
	d, l := NewDecoder("http"), &listener{}
	var answers []int
	emit := func(e exchange.Event) {
		l.emit(e)
		if e.Kind != exchange.KindEnd || len(answers) == 0 {
			return
		}
		h := &exchange.Head{Status: answers[0], Version: "1.1"}
		answers = answers[1:]
		for _, a := range []exchange.Event{
			{Stream: e.Stream, From: exchange.Server, Kind: exchange.KindHead, Head: &exchange.Head{Status: 103}},
			{Stream: e.Stream, From: exchange.Server, Kind: exchange.KindHead, Head: h},
			{Stream: e.Stream, From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}},
		} {
			if a.Kind == exchange.KindEnd && h.Status == 101 {
				return
			}
			if err := d.Answer(a, l.emit); err != nil {
				t.Errorf("Answer(%+v) = %v", a, err)
			}
		}
	}
	answers = []int{200, 404, 101}
	const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n"
	for range MaxPending + 1 { // answered requests are forgotten
		answers = append(answers[:0], 200)
		if err := d.Feed(exchange.Client, 0, []byte(get), emit); err != nil {
			t.Fatal(err)
		}
	}
	l.events, answers = nil, []int{200, 404, 101}
	if err := d.Feed(exchange.Client, 0, []byte(get+upgrade+upgrade+"raw"), emit); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(exchange.Client, 0, exchange.End{}, emit); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"c1026 GET http://a / 1.1 [Host=a]", "c1026 complete", "c1027 GET http://a / 1.1 [Host=a] [Upgrade=x]", "c1027 complete",
		"c1028 GET http://a / 1.1 [Host=a] [Upgrade=x]", "c1028 complete", `c1028 data "raw"`, "c1028 complete"}
	if diff := cmp.Diff(want, l.lines()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	e := exchange.Event{Stream: 9, Kind: exchange.KindHead, Head: &exchange.Head{Status: 200}}
	if err := NewDecoder("http").Answer(e, emit); !errors.Is(err, ErrUnsolicited) {
		t.Errorf("Answer without a request = %v; want %v", err, ErrUnsolicited)
	}
}

// TestHeldUnanswered closes the client, then the server that never answered.
func TestHeldUnanswered(t *testing.T) {
	for _, behind := range []string{"", "hello"} {
		d, l := NewDecoder("http"), &listener{}
		d.Feed(exchange.Client, 0, []byte("CONNECT a:1 HTTP/1.1\r\n\r\n"+behind), l.emit)
		d.Close(exchange.Client, 0, exchange.End{}, l.emit)
		err := d.Close(exchange.Server, 0, exchange.End{}, l.emit)
		if rest := string(d.Rest(exchange.Client)); rest != behind || errors.Is(err, io.ErrUnexpectedEOF) != (behind != "") {
			t.Errorf("Close with %q held = %v, Rest %q", behind, err, rest)
		}
	}
}

// TestEmptyLines: those behind the last request are nobody's.
func TestEmptyLines(t *testing.T) {
	l, _, err := decode([]says{c(get), s("HTTP/1.1 204 \r\n\r\n"), c("\r\n")}, whole)
	if want := []string{"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 204 "" 1.1`, "s1 complete"}; err != nil || !cmp.Equal(want, l.lines()) {
		t.Errorf("decode = %q, %v; want %q", l.lines(), err, want)
	}
}

// TestHeld closes a client that sent behind a CONNECT before it is answered.
func TestHeld(t *testing.T) {
	d, l := NewDecoder("http"), &listener{}
	d.Feed(exchange.Client, 0, []byte("CONNECT a:1 HTTP/1.1\r\n\r\nhello"), l.emit)
	if err := d.Close(exchange.Client, 0, exchange.End{How: exchange.Reset}, l.emit); err != nil {
		t.Fatal(err)
	}
	if err := d.Feed(exchange.Server, 0, []byte("HTTP/1.1 200 OK\r\n\r\n"), l.emit); err != nil {
		t.Fatal(err)
	}
	want := []string{"c1 CONNECT http:// a:1 1.1", "c1 complete", `s1 200 "OK" 1.1`, `c1 data "hello"`, "c1 reset"}
	if diff := cmp.Diff(want, l.lines()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
