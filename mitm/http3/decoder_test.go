package http3

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/serge-net/serge-net/exchange"
)

// frame is one of kind.
func frame(kind uint64, payload ...byte) []byte {
	b := quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload)))
	return append(b, payload...)
}

// pairs are fields: name, value, name, value.
func pairs(s ...string) []exchange.Field {
	var all []exchange.Field
	for i := 0; i < len(s); i += 2 {
		all = append(all, exchange.Field{Name: s[i], Value: s[i+1]})
	}
	return all
}

// headers is a HEADERS frame without a table.
func headers(s ...string) []byte { return frame(frameHeaders, appendSection(nil, pairs(s...))...) }

// get is the head of a request.
func get() []byte {
	return headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "x-b", "1", "x-a", "2", "x-b", "3")
}

// settings is a control stream whose side takes a table of n bytes.
func settings(n uint64) []byte {
	return append([]byte{streamControl}, frame(frameSettings, quicvarint.Append([]byte{settingTable}, n)...)...)
}

// line is an event in short.
func line(e exchange.Event) string {
	s := fmt.Sprintf("%c%d", e.From.String()[0], e.Stream)
	switch e.Kind {
	case exchange.KindHead:
		h := e.Head
		if h.Status == 0 {
			s += fmt.Sprintf(" %s %s://%s %s", h.Method, h.Scheme, h.Authority, h.Target)
		} else {
			s += fmt.Sprintf(" %d", h.Status)
		}
		for _, f := range h.Fields {
			s += fmt.Sprintf(" [%s=%s]", f.Name, f.Value)
		}
	case exchange.KindData:
		s += fmt.Sprintf(" data %s", e.Data)
	case exchange.KindTrailers:
		s += fmt.Sprintf(" trailers %v", e.Fields)
	case exchange.KindEnd:
		s += " " + e.End.How.String()
		if e.End.Code != 0 {
			s += fmt.Sprintf(" %#x", e.End.Code)
		}
	}
	return s
}

// A talk is what both sides do, in order.
type talk struct {
	d       *Decoder
	got     []string
	strange []string
	err     error
}

func newTalk() *talk {
	w := new(talk)
	w.d = NewDecoder(func(stream uint64, what string) { w.strange = append(w.strange, fmt.Sprint(stream, " ", what)) })
	return w
}

func (w *talk) emit(e exchange.Event) { w.got = append(w.got, line(e)) }

// say feeds b in pieces of n bytes, 0 for whole.
func (w *talk) say(stream uint64, from exchange.Side, n int, bs ...[]byte) *talk {
	for _, b := range bs {
		for len(b) > 0 && w.err == nil {
			k := len(b)
			if n > 0 {
				k = min(n, k)
			}
			w.err = w.d.Feed(stream, from, time.Second, b[:k], w.emit)
			b = b[k:]
		}
	}
	return w
}

// fin ends a side.
func (w *talk) fin(stream uint64, from exchange.Side) *talk {
	return w.end(stream, from, exchange.End{})
}

func (w *talk) end(stream uint64, from exchange.Side, end exchange.End) *talk {
	w.d.Close(stream, from, time.Second, end, w.emit)
	return w
}

func TestDecoder(t *testing.T) {
	const c, s = exchange.Client, exchange.Server
	const asked = "c0 GET https://a / [x-b=1] [x-a=2] [x-b=3]"
	for _, tt := range []struct {
		name string
		do   func(w *talk, n int)
		want []string
	}{
		{"an exchange", func(w *talk, n int) {
			w.say(2, c, n, settings(0)).say(3, s, n, settings(0))
			w.say(0, c, n, get(), frame(frameData, []byte("hel")...), frame(0x21, []byte("grease")...), frame(frameData, []byte("lo")...)).fin(0, c)
			w.say(0, s, n, headers(":status", "103", "link", "x"), headers(":status", "200"), frame(frameData, []byte("body")...), headers("sum", "4")).fin(0, s)
		}, []string{asked, "c0 data hello", "c0 complete", "s0 103 [link=x]", "s0 200", "s0 data body", "s0 trailers [{sum 4}]", "s0 complete"}},
		{"two streams", func(w *talk, n int) {
			w.say(0, c, n, get()).say(4, c, n, headers(":method", "CONNECT", ":authority", "b:1"))
			w.say(4, s, n, headers(":status", "200")).fin(0, c).say(4, c, n, frame(frameData, []byte("up")...)).say(4, s, n, frame(frameData, []byte("down")...))
			w.d.Hangup(time.Second, ClosedEnd(NoError), w.emit)
		}, []string{asked, "c4 CONNECT ://b:1 b:1", "s4 200", "c0 complete", "c4 data up", "s4 data down",
			"s0 truncated", "c4 truncated", "s4 truncated"}},
		{"resets", func(w *talk, n int) {
			w.say(0, c, n, get()).end(0, c, ResetEnd(ResetStream, requestCancelled, c)).end(0, s, ResetEnd(StopSending, requestCancelled, c))
		}, []string{asked, "c0 reset 0x10c", "s0 read_timeout 0x10c"}},
		{"an answer whose end nobody waits for", func(w *talk, n int) {
			w.say(0, c, n, get()).fin(0, c).say(0, s, n, headers(":status", "200", "content-length", "4"), frame(frameData, []byte("body")...)).end(0, s, ResetEnd(StopSending, requestCancelled, c))
			w.say(4, c, n, headers(":method", "HEAD", ":path", "/")).fin(4, c).say(4, s, n, headers(":status", "200", "content-length", "4"))
			w.say(8, c, n, get()).fin(8, c).say(8, s, n, headers(":status", "200", "content-length", "4"), frame(frameData, []byte("bod")...))
			w.d.Hangup(time.Second, ClosedEnd(NoError), w.emit)
		}, []string{asked, "c0 complete", "s0 200 [content-length=4]", "s0 data body", "s0 complete",
			"c4 HEAD :// /", "c4 complete", "s4 200 [content-length=4]", "c8" + asked[2:], "c8 complete", "s8 200 [content-length=4]", "s8 data bod",
			"s4 complete", "s8 truncated"}},
		{"a request whose end nobody waits for", func(w *talk, n int) {
			w.say(0, c, n, get()).end(0, c, ResetEnd(StopSending, NoError, s))
			w.say(4, c, n, headers(":method", "POST", ":path", "/", "content-length", "4"), frame(frameData, []byte("bod")...)).end(4, c, ResetEnd(StopSending, NoError, s))
		}, []string{asked, "c0 complete", "c4 POST :// / [content-length=4]", "c4 data bod", "c4 reset 0x100"}},
		{"an end in the middle", func(w *talk, n int) {
			w.say(0, c, n, get()).fin(0, c).say(0, s, n, headers(":status", "200"), frame(frameData, []byte("body")...)[:4]).fin(0, s)
		}, []string{asked, "c0 complete", "s0 200", "s0 data bo", "s0 truncated"}},
		{"a client without a word", func(w *talk, n int) {
			w.end(0, c, ResetEnd(ResetStream, requestCancelled, c)).end(0, s, ResetEnd(ResetStream, requestCancelled, s))
		}, nil},
		{"a stream of a side that is gone", func(w *talk, n int) {
			w.say(0, c, n, get())
			w.d.Hangup(time.Second, ClosedEnd(internalError), w.emit)
		}, []string{asked, "c0 reset 0x102", "s0 reset 0x102"}},
	} {
		for _, n := range []int{0, 1, 3} {
			w := newTalk()
			tt.do(w, n)
			if got := joined(w.got); w.err != nil || !cmp.Equal(tt.want, got) {
				t.Errorf("%s, %d at a time: %v (-want +got):\n%s", tt.name, n, w.err, cmp.Diff(tt.want, got))
			}
		}
	}
}

// joined joins pieces of data that follow each other.
func joined(lines []string) []string {
	var all []string
	for _, l := range lines {
		side, data, ok := strings.Cut(l, " data ")
		if last := len(all) - 1; ok && last >= 0 && strings.HasPrefix(all[last], side+" data ") {
			all[last] += data
			continue
		}
		all = append(all, l)
	}
	return all
}

// TestTable is RFC 9204, appendix B: what an encoder sends on its stream and in
// field sections.
func TestTable(t *testing.T) {
	const c, s = exchange.Client, exchange.Server
	w := newTalk()
	w.say(3, s, 0, settings(220)).say(2, c, 0, settings(0))
	// B.1, with :method and the rest put before.
	w.say(0, c, 0, frame(frameHeaders, append(appendSection(nil, pairs(":method", "GET", ":scheme", "https")), "\x51\x0b/index.html"...)...))
	// B.2: the section first, which waits for the encoder.
	second := append([]byte("\x03\x81\x10\x11"), appendSection(nil, pairs(":method", "GET", ":scheme", "https"))[2:]...)
	w.say(4, c, 0, frame(frameHeaders, second...), frame(frameData, []byte("later")...)).fin(4, c)
	before := len(w.got)
	w.say(6, c, 1, []byte{streamEncoder}, []byte("\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path"))
	if len(w.got) == before {
		t.Fatal("nothing is told when the table has what was waited for")
	}
	// B.3 and B.4: an entry by name, and a copy.
	w.say(6, c, 1, []byte("\x4acustom-key\x0ccustom-value"), []byte("\x02"))
	third := append([]byte("\x05\x00\x80\xc1"), appendSection(nil, pairs(":method", "GET", ":scheme", "https"))[2:]...)
	w.say(8, c, 0, frame(frameHeaders, append(third, 0x81)...))
	want := []string{
		"c0 GET https:// /index.html",
		"c4 GET https://www.example.com /sample/path", "c4 data later", "c4 complete",
		"c8 GET https://www.example.com / [custom-key=custom-value]",
	}
	if got := w.got; !cmp.Equal(want, got) {
		t.Errorf("told (-want +got): %v\n%s", w.err, cmp.Diff(want, got))
	}
	table := &w.d.tables[c]
	// B.5: an insertion that evicts.
	w.say(6, c, 1, []byte("\x81\x0dcustom-value2"))
	if w.d.err != nil || table.dropped != 1 || table.size != 215 || table.inserted() != 5 {
		t.Errorf("after B.5: %v, %d dropped, %d bytes, %d inserted; want 1, 215, 5", w.d.err, table.dropped, table.size, table.inserted())
	}
}

func TestDecoderRefuses(t *testing.T) {
	const c, s = exchange.Client, exchange.Server
	long := frame(frameHeaders, make([]byte, 10)...)
	long = append(quicvarint.Append([]byte{frameHeaders}, MaxBlock+1), long...)
	for name, do := range map[string]func(w *talk){
		"data first":             func(w *talk) { w.say(0, c, 0, frame(frameData, 'x')) },
		"no method":              func(w *talk) { w.say(0, c, 0, headers(":path", "/")) },
		"a pseudo field twice":   func(w *talk) { w.say(0, c, 0, headers(":path", "/", ":path", "/")) },
		"no status":              func(w *talk) { w.say(0, s, 0, headers("a", "b")) },
		"headers too long":       func(w *talk) { w.say(0, c, 0, long) },
		"headers after trailers": func(w *talk) { w.say(0, c, 0, get(), headers("a", "b"), headers("a", "b")) },
		"a table nobody allowed": func(w *talk) { w.say(2, c, 0, []byte{streamEncoder, 0x3f, 0x01}) },
		"an entry too long":      func(w *talk) { w.say(2, c, 0, []byte{streamEncoder}, []byte("\x4acustom-key\x0ccustom-value")) },
		"a copy of nothing":      func(w *talk) { w.say(2, c, 0, []byte{streamEncoder, 0x01}) },
		"no settings first":      func(w *talk) { w.say(2, c, 0, []byte{streamControl}, frame(7, 0)) },
		"an index of nothing":    func(w *talk) { w.say(0, c, 0, frame(frameHeaders, 0, 0, 0x80)) },
		"a static index beyond":  func(w *talk) { w.say(0, c, 0, frame(frameHeaders, 0, 0, 0xff, 0x40)) },
		"a section cut short":    func(w *talk) { w.say(0, c, 0, frame(frameHeaders, 0, 0, 0x51, 0x0b)) },
		"an empty section":       func(w *talk) { w.say(0, c, 0, frame(frameHeaders)) },
		"a count without table":  func(w *talk) { w.say(0, c, 0, frame(frameHeaders, 3, 0, 0x80)) },
		"an endless integer": func(w *talk) {
			w.say(0, c, 0, frame(frameHeaders, append([]byte{0xff}, []byte(strings.Repeat("\xff", 12))...)...))
		},
		"a bomb": func(w *talk) {
			w.say(3, s, 0, settings(1<<16)).say(2, c, 0, []byte{streamEncoder, 0x3f, 0xe1, 0xff, 0x03})
			w.say(2, c, 0, appendText(appendText(nil, 0x40, 5, "x"), 0, 7, strings.Repeat("€", 10000)))
			w.say(0, c, 0, frame(frameHeaders, append([]byte{2, 0}, []byte(strings.Repeat("\x80", 1000))...)...))
		},
	} {
		if w := newTalk(); true {
			do(w)
			if !errors.Is(w.err, errFraming) {
				t.Errorf("%s: %v, %v; want %v", name, w.err, w.got, errFraming)
			}
		}
	}
}

func TestWebTransport(t *testing.T) {
	const c, s = exchange.Client, exchange.Server
	w := newTalk()
	w.say(4, c, 1, []byte{0x40, signalStream, 0, 'x'}).say(4, s, 0, []byte("anything")).fin(4, c).fin(4, s)
	w.say(5, s, 0, []byte("anything")).say(10, c, 0, []byte{0x40, streamTransport, 0, 'y'})
	want := []string{"4 a stream of WebTransport", "5 a stream of WebTransport", "10 a stream of WebTransport"}
	if w.err != nil || len(w.got) > 0 || !cmp.Equal(want, w.strange) {
		t.Errorf("%v, told %v, strange %q; want %q", w.err, w.got, w.strange, want)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add(uint8(0), append(get(), frame(frameData, []byte("x")...)...), headers(":status", "200"))
	f.Add(uint8(1), []byte("\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path"), frame(frameHeaders, []byte("\x03\x81\x10\x11")...))
	f.Fuzz(func(t *testing.T, n uint8, a, b []byte) {
		w := newTalk()
		w.say(3, exchange.Server, 0, settings(220)).say(6, exchange.Client, 0, []byte{streamEncoder}, a).say(0, exchange.Client, int(n), b)
		w.say(4, exchange.Client, int(n), a).say(4, exchange.Server, 0, b).fin(4, exchange.Server)
		w.d.Hangup(0, ClosedEnd(0), w.emit)
	})
}

// FuzzSection holds that fields come back as they were.
func FuzzSection(f *testing.F) {
	f.Add("cookie", "a=b", "x-Ü", "\x00")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		want := pairs(n1, v1, n2, v2, n1, v2)
		table := new(table)
		s, err := table.section(appendSection(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		got, err := table.fields(s)
		if err != nil && len(n1)+len(v1)+len(n2)+len(v2) < MaxBlock || err == nil && !cmp.Equal(want, got) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}
