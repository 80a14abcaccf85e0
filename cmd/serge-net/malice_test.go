package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
	"github.com/serge-net/serge-net/ws"
)

// A stage is where clients and origins misbehave, each way with what the program
// has behind it: its recorder, or a player of what that recorded.
type stage struct {
	t     *testing.T
	store *cassette.Store
	good  string       // the address of an origin that behaves
	open  atomic.Int64 // connections that are taken
}

func newStage(t *testing.T) *stage {
	t.Helper()
	store, err := cassette.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s := &stage{t: t, store: store}
	s.good = s.listen(func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	return s
}

// listen has serve take connections until the test ends, and closes what it left
// open then.
func (s *stage) listen(serve func(net.Conn)) (addr string) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			serving.Go(func() {
				defer s.open.Add(-1)
				defer context.AfterFunc(ctx, func() { c.Close() })()
				serve(c)
			})
		}
	})
	s.t.Cleanup(func() { l.Close(); cancel(); serving.Wait() })
	return l.Addr().String()
}

// empty waits until all connections are at their end.
func (s *stage) empty() {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(10 * time.Second); s.open.Load() > 0; <-tick.C {
		if time.Now().After(until) {
			s.t.Fatalf("%d connections are still open", s.open.Load())
		}
	}
}

// divert is where clients of origin connect to, that way takes them.
func (s *stage) divert(way mitm.Way, origin string) (addr string) {
	o := exchange.Origin{Addr: netip.MustParseAddrPort(origin)}
	return s.listen(func(c net.Conn) { way.Handle(s.t.Context(), c, o) })
}

// record is a way that records to the cassette name, and what ends that.
func (s *stage) record(name string) (mitm.Way, func()) {
	s.t.Helper()
	r, err := s.store.Record(name, cassette.RecordOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return &mitm.Record{Upstream: new(mitm.Upstream), Watcher: r}, func() {
		if _, err := r.Close(false); err != nil {
			s.t.Errorf("the recording ends with %v", err)
		}
	}
}

// replay is a way that replays the cassette name.
func (s *stage) replay(name string) mitm.Way {
	s.t.Helper()
	c, err := s.store.Load(name)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := c.Player(cassette.PlayOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return &mitm.Replay{Player: p}
}

// dial connects, for ten seconds at most.
func (s *stage) dial(addr string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// served has another client be served by way.
func (s *stage) served(t *testing.T, addr string) {
	t.Helper()
	c := s.dial(addr)
	defer c.Close()
	io.WriteString(c, "GET /well HTTP/1.1\r\nHost: well\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("another client is not served: %v", err)
	}
	if b, err := io.ReadAll(res.Body); string(b) != "ok" || err != nil {
		t.Errorf("another client is served %q, %v", b, err)
	}
}

// held is what the program holds, without garbage.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// frames are what a side of HTTP/2 sends, the client behind its preface.
func frames(write func(f *http2.Framer, block func(pairs ...string) []byte)) string {
	var out, fields bytes.Buffer
	f, enc := http2.NewFramer(&out, nil), hpack.NewEncoder(&fields)
	f.AllowIllegalWrites = true
	f.WriteSettings()
	write(f, func(pairs ...string) []byte {
		fields.Reset()
		for i := 0; i < len(pairs); i += 2 {
			enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return bytes.Clone(fields.Bytes())
	})
	return out.String()
}

// asking is a request's pseudo fields.
var asking = []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/"}

// opens is a request's head in one frame.
func opens(f *http2.Framer, block []byte) {
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
}

// An abuse is what a side of a protocol says that it may not. told is what a
// replay's answer to the client ends with; "" is nothing, and leftAlone that the
// abuse is the origin's.
type abuse struct {
	name                 string
	client, origin, told string
}

// leftAlone is an abuse's told that is not the client's.
const leftAlone = "-"

// reset and goAway are what a client of HTTP/2 is told at the end.
func reset(code http2.ErrCode) string {
	return "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00" + string(rune(code))
}
func goAway(stream byte, code http2.ErrCode) string {
	return "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00" + string(rune(stream)) + "\x00\x00\x00" + string(rune(code))
}

// The WebSocket that abuses are said on.
const (
	upgrade  = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	deflates = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
)

// frame is a WebSocket's.
func frame(masked bool, rsv uint8, op ws.Opcode, payload string) string {
	return string(ws.AppendFrame(nil, ws.Header{Fin: true, RSV: rsv, Opcode: op, Masked: masked, Key: [4]byte{1, 2, 3, 4}}, []byte(payload)))
}

// bombSize is what a bomb inflates to.
const bombSize = 64 << 20

// bomb inflates to bombSize zeros.
var bomb = sync.OnceValue(func() string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression) // the level is one
	zeros := make([]byte, 1<<20)
	for range bombSize / len(zeros) {
		w.Write(zeros)
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
})

// abuses are said by a client or an origin of HTTP/1, HTTP/2 and WebSocket.
func abuses() []abuse {
	const get, ok = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	const post, chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	long, many := strings.Repeat("x", 2<<20), strings.Repeat("X-Y: z\r\n", 100_000)
	begin := frames(func(f *http2.Framer, block func(...string) []byte) { opens(f, block(asking...)) })
	preface := func(write func(f *http2.Framer, block func(...string) []byte)) string {
		return http2.ClientPreface + frames(write)
	}
	two := http2.ClientPreface + begin
	list := []abuse{
		{"a chunk without a size, of a client", post + "xyz\r\n", "", ""},
		{"a chunk beyond all sizes, of a client", post + "ffffffffffffffffff\r\nabc", "", ""},
		{"a chunk without a size", get, chunked + "xyz\r\n\r\n", leftAlone},
		{"a chunk line without end", get, chunked + "1;" + long, leftAlone},
		{"a field without end, of a client", "GET / HTTP/1.1\r\nHost: x\r\nX: " + long, "", ""},
		{"a field without end", get, "HTTP/1.1 200 OK\r\nX: " + long, leftAlone},
		{"a flood of fields, of a client", "GET / HTTP/1.1\r\nHost: x\r\n" + many + "\r\n", "", ""},
		{"a flood of fields", get, "HTTP/1.1 200 OK\r\n" + many + "\r\n", leftAlone},
		{"a control character in a field", "GET / HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n", ok, ""},
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", ok, ""},
		{"hints without end", get, strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 10_000), leftAlone},
		{"no HTTP/2 behind the preface", http2.ClientPreface + strings.Repeat("no frames ", 1000), "", goAway(0, http2.ErrCodeFrameSize)},
		{"no HTTP/2 of an origin", two, strings.Repeat("no frames ", 1000), leftAlone},
		{"a frame beyond all sizes", two + "\xff\xff\xff\x00\x00\x00\x00\x00\x01" + long, "", goAway(1, http2.ErrCodeFrameSize)},
		{"a frame cut short", two + "\x00\x00\x10\x00\x00\x00\x00\x00\x01abc", "", leftAlone},
	}
	both := func(name, told string, say func(f *http2.Framer, block func(...string) []byte)) {
		list = append(list, abuse{name + ", of a client", preface(say), "", told}, abuse{name, two, frames(say), leftAlone})
	}
	both("an HPACK bomb", reset(http2.ErrCodeEnhanceYourCalm), func(f *http2.Framer, block func(...string) []byte) {
		opens(f, append(block(append(asking, "a", strings.Repeat("x", 3000))...), strings.Repeat("\xbe", 10_000)...))
	})
	both("a flood of CONTINUATION", goAway(0, http2.ErrCodeProtocol), func(f *http2.Framer, block func(...string) []byte) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(asking...)})
		for range 300 {
			f.WriteContinuation(1, false, block("a", strings.Repeat("x", 8000)))
		}
	})
	both("a block that is none", goAway(0, http2.ErrCodeCompression), func(f *http2.Framer, block func(...string) []byte) { opens(f, []byte("\xff\xff\xff\xff\xff\xff")) })
	both("data on no stream", goAway(0, http2.ErrCodeProtocol), func(f *http2.Framer, block func(...string) []byte) { f.WriteData(99, true, []byte("x")) })
	return append(list, socketAbuses()...)
}

// socketAbuses are those of WebSockets.
func socketAbuses() []abuse {
	end := upgrade + "\r\n"
	var list []abuse
	both := func(name, told string, say func(masked bool) string) {
		list = append(list, abuse{name + ", of a client", end + say(true), upgraded + "\r\n", told}, abuse{name, end, upgraded + "\r\n" + say(false), leftAlone})
	}
	both("a mask that is not right", "\x88\x1c\x03\xeaunmasked frame of a client", func(masked bool) string { return frame(!masked, 0, ws.Text, "hi") })
	both("text that is not UTF-8", "\x88\x1b\x03\xeftext message is not UTF-8", func(masked bool) string { return frame(masked, 0, ws.Text, "\xff\xfe") })
	both("a ping of 126 bytes", "\x88#\x03\xeaping frame of more than 125 bytes", func(masked bool) string { return frame(masked, 0, ws.Ping, strings.Repeat("x", 126)) })
	both("a reserved opcode", "\x88\x15\x03\xeareserved opcode 0x5", func(masked bool) string { return frame(masked, 0, 5, "hi") })
	both("a reserved bit", "\x88#\x03\xeareserved bits 001 in a text frame", func(masked bool) string { return frame(masked, 1, ws.Text, "hi") })
	both("a continuation of nothing", "\x88&\x03\xeacontinuation frame without a message", func(masked bool) string { return frame(masked, 0, ws.Continuation, "hi") })
	both("a close code that is none", "\x88\x1c\x03\xeaclose frame with code 1006", func(masked bool) string { return frame(masked, 0, ws.Close, "\x03\xee") })
	zipped := func(name, told string, payload func() string) {
		list = append(list,
			abuse{name + ", of a client", upgrade + deflates + "\r\n" + frame(true, ws.RSV1, ws.Text, payload()), upgraded + deflates + "\r\n", told},
			abuse{name, upgrade + deflates + "\r\n", upgraded + deflates + "\r\n" + frame(false, ws.RSV1, ws.Text, payload()), leftAlone})
	}
	zipped("no deflate", "\x88)\x03\xefcompressed data: reserved type of block", func() string { return "\xff\xff\xff\xff" })
	zipped("a bomb", "\x88)\x03\xf0serge-net: this message is not recorded", bomb)
	return list
}

// said is name and how much was said, for messages.
func (a abuse) said() string {
	return fmt.Sprintf("%s (%d and %d bytes)", a.name, len(a.client), len(a.origin))
}
