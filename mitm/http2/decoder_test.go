package http2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A side's wire is what it sends: frames written by the library.
type wire struct {
	bytes.Buffer
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

func newWire(preface string) *wire {
	w := &wire{}
	w.WriteString(preface)
	w.Framer = http2.NewFramer(&w.Buffer, nil)
	w.AllowIllegalWrites = true
	w.enc = hpack.NewEncoder(&w.block)
	w.WriteSettings()
	return w
}

// fields encodes name, value, name, value…
func (w *wire) fields(pairs ...string) []byte {
	w.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		w.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(w.block.Bytes())
}

func (w *wire) headers(id uint32, end bool, pairs ...string) {
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: w.fields(pairs...), EndStream: end, EndHeaders: true})
}

func (w *wire) get(id uint32) {
	w.headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
}

// A listener keeps the events it is told in short, Data joined.
type listener struct {
	mu    sync.Mutex
	lines []string
}

func (l *listener) emit(e exchange.Event) {
	line := fmt.Sprintf("%c%d ", e.From.String()[0], e.Stream)
	switch e.Kind {
	case exchange.KindHead:
		if h := e.Head; h.Status == 0 {
			line += fmt.Sprintf("%s %s://%s %s%s", h.Method, h.Scheme, h.Authority, h.Target, show(h.Fields))
		} else {
			line += fmt.Sprintf("%d%s", h.Status, show(h.Fields))
		}
	case exchange.KindData:
		line += "data " + string(e.Data)
	case exchange.KindTrailers:
		line += "trailers" + show(e.Fields)
	case exchange.KindEnd:
		line += e.End.How.String()
		if e.End.Code != 0 {
			line += fmt.Sprintf(" %d", e.End.Code)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	prefix := line[:strings.IndexByte(line, ' ')+1] + "data "
	if n := len(l.lines); n > 0 && e.Kind == exchange.KindData && strings.HasPrefix(l.lines[n-1], prefix) {
		l.lines[n-1] += string(e.Data)
		return
	}
	l.lines = append(l.lines, line)
}

func show(fields []exchange.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, " [%s=%s]", f.Name, f.Value)
	}
	return b.String()
}

// decode feeds both sides, the client first, in pieces of at most n bytes.
func decode(client, server []byte, n int) (*listener, *Decoder, error) {
	d, l := NewDecoder(), &listener{}
	for from, b := range [][]byte{client, server} {
		for piece := range slices.Chunk(b, n) {
			piece = bytes.Clone(piece)
			if err := d.Feed(exchange.Side(from), time.Second, piece, l.emit); err != nil {
				return l, d, err
			}
			clear(piece)
		}
	}
	for _, from := range []exchange.Side{exchange.Server, exchange.Client} {
		if err := d.Close(from, time.Second, exchange.End{}, l.emit); err != nil {
			return l, d, err
		}
	}
	return l, d, nil
}

var talks = []struct {
	name string
	say  func(c, s *wire)
	want []string
}{
	{"exchange", func(c, s *wire) {
		c.headers(1, false, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/p?q", "x-b", "1", "a", "2", "x-b", "3")
		c.WriteData(1, false, []byte("hel"))
		c.WriteData(1, true, []byte("lo"))
		s.headers(1, false, ":status", "103", "link", "</a>")
		s.headers(1, false, ":status", "200", "server", "x")
		s.WriteData(1, false, []byte("ok"))
		s.headers(1, true, "grpc-status", "0")
	}, []string{"c1 POST https://a /p?q [x-b=1] [a=2] [x-b=3]", "c1 data hello", "c1 complete",
		"s1 103 [link=</a>]", "s1 200 [server=x]", "s1 data ok", "s1 trailers [grpc-status=0]", "s1 complete"}},
	{"interleaved", func(c, s *wire) {
		c.get(1)
		c.get(3)
		s.headers(3, false, ":status", "200")
		s.headers(1, false, ":status", "404")
		s.WriteData(3, false, []byte("a"))
		s.WriteData(1, true, []byte("b"))
		s.WriteData(3, true, nil)
	}, []string{"c1 GET https://a /", "c1 complete", "c3 GET https://a /", "c3 complete",
		"s3 200", "s1 404", "s3 data a", "s1 data b", "s1 complete", "s3 complete"}},
	{"padding, priority, continuation", func(c, s *wire) {
		block := c.fields(":method", "GET", ":scheme", "http", ":path", "/", "host", "h", "cookie", "a=1", "cookie", "b=2")
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3], PadLength: 7, Priority: http2.PriorityParam{Weight: 5, StreamDep: 3}})
		c.WriteContinuation(1, false, block[3:9])
		c.WriteContinuation(1, true, block[9:])
		c.WriteDataPadded(1, false, []byte("abc"), make([]byte, 20))
		c.WriteDataPadded(1, false, nil, make([]byte, 3))
		c.WriteDataPadded(1, true, []byte("d"), nil)
		s.WritePing(false, [8]byte{})
		s.WriteWindowUpdate(0, 100)
		s.WriteRawFrame(0xee, 0, 5, []byte("unknown"))
		s.WriteRawFrame(0xef, 0, 5, nil)
		s.headers(1, true, ":status", "204")
	}, []string{"c1 GET http://h / [host=h] [cookie=a=1] [cookie=b=2]", "c1 data abcd", "c1 complete", "s1 204", "s1 complete"}},
	{"tables", func(c, s *wire) {
		s.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 65536}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 17})
		c.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 65536})
		c.get(1)
		s.enc.SetMaxDynamicTableSizeLimit(65536)
		s.enc.SetMaxDynamicTableSize(65536)
		s.headers(1, true, ":status", "200", "x", strings.Repeat("y", 5000))
		c.headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(3, true, ":status", "200", "x", strings.Repeat("y", 5000))
	}, []string{"c1 GET https://a /", "c1 complete", "c3 GET https://a /", "c3 complete",
		"s1 200 [x=" + strings.Repeat("y", 5000) + "]", "s1 complete", "s3 200 [x=" + strings.Repeat("y", 5000) + "]", "s3 complete"}},
	{"push", func(c, s *wire) {
		c.get(1)
		s.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true, PadLength: 2,
			BlockFragment: s.fields(":method", "GET", ":path", "/pushed", "x-in", "table")})
		s.headers(2, false, ":status", "200", "x-in", "table")
		s.WriteData(2, true, []byte("pushed"))
		s.headers(1, true, ":status", "200", "x-in", "table")
	}, []string{"c1 GET https://a /", "c1 complete", "s1 200 [x-in=table]", "s1 complete"}},
	{"client resets", func(c, s *wire) {
		c.get(1)
		c.WriteRSTStream(1, http2.ErrCodeCancel)
		s.headers(1, false, ":status", "200", "x-in", "table") // crossed
		s.WriteData(1, true, []byte("late"))
		c.headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(3, true, ":status", "200", "x-in", "table")
	}, []string{"c1 GET https://a /", "c1 complete", "s1 reset 8", "c3 GET https://a /", "c3 complete", "s3 200 [x-in=table]", "s3 complete"}},
	{"server resets", func(c, s *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
		s.WriteRSTStream(1, http2.ErrCodeRefusedStream)
	}, []string{"c1 PUT https://a /", "s1 reset 7", "c1 reset 7"}},
	{"server needs no more", func(c, s *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(1, true, ":status", "413")
		s.WriteRSTStream(1, http2.ErrCodeNo)
	}, []string{"c1 PUT https://a /", "s1 413", "s1 complete", "c1 reset"}},
	{"goaway", func(c, s *wire) {
		c.get(1)
		c.get(3)
		c.WriteGoAway(0, http2.ErrCodeNo, nil)
		s.WriteGoAway(1, http2.ErrCodeNo, []byte("bye"))
		s.headers(1, true, ":status", "200")
	}, []string{"c1 GET https://a /", "c1 complete", "c3 GET https://a /", "c3 complete", "s3 reset", "s1 200", "s1 complete"}},
	{"goaway with a cause", func(c, s *wire) {
		c.get(1)
		s.headers(1, false, ":status", "200")
		s.WriteGoAway(1, http2.ErrCodeInternal, nil)
	}, []string{"c1 GET https://a /", "c1 complete", "s1 200", "s1 reset 2"}},
	{"cut", func(c, s *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(1, false, ":status", "200")
		s.WriteData(1, false, []byte("ab"))
	}, []string{"c1 PUT https://a /", "s1 200", "s1 data ab", "s1 truncated", "c1 truncated"}},
	{"connect", func(c, s *wire) {
		c.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "a", "origin", "o")
		c.headers(3, false, ":method", "CONNECT", ":authority", "b:443")
	}, []string{"c1 CONNECT https://a /chat [:protocol=websocket] [origin=o]", "c3 CONNECT ://b:443 b:443", "s1 truncated", "s3 truncated", "c1 truncated", "c3 truncated"}},
	{"unknown streams", func(c, s *wire) {
		s.headers(1, true, ":status", "200")
		s.WriteData(3, true, []byte("x"))
		c.WriteData(5, true, []byte("x"))
		c.WriteRSTStream(7, http2.ErrCodeCancel)
		c.headers(2, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	}, nil},
}

func TestDecoder(t *testing.T) {
	for _, tt := range talks {
		t.Run(tt.name, func(t *testing.T) {
			c, s := newWire(Preface), newWire("")
			tt.say(c, s)
			for _, n := range []int{1, 2, 3, 7, 11, 64, 1 << 20} {
				l, _, err := decode(c.Bytes(), s.Bytes(), n)
				if err != nil {
					t.Fatalf("decode by %d = %v", n, err)
				}
				if diff := cmp.Diff(tt.want, l.lines); diff != "" {
					t.Fatalf("events by %d (-want +got):\n%s", n, diff)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		client func(c *wire)
		server func(s *wire)
	}{
		{"no preface", func(c *wire) { c.Reset(); c.WriteString("GET / HTTP/1.1\r\n\r\n") }, nil},
		{"no settings", func(c *wire) { c.Reset(); c.WriteString(Preface); c.WritePing(false, [8]byte{}) }, nil},
		{"settings size", func(c *wire) { c.WriteRawFrame(http2.FrameSettings, 0, 0, []byte("12345")) }, nil},
		{"frame size", func(c *wire) { c.WriteData(1, false, make([]byte, 16<<10+1)) }, nil},
		{"HEADERS on 0", func(c *wire) { c.headers(0, true) }, nil},
		{"DATA on 0", func(c *wire) { c.WriteData(0, true, nil) }, nil},
		{"DATA padding", func(c *wire) { c.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{9, 1}) }, nil},
		{"no DATA padding", func(c *wire) { c.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, nil) }, nil},
		{"HEADERS padding", func(c *wire) { c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded, 1, []byte{9, 1}) }, nil},
		{"HEADERS priority", func(c *wire) { c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPriority, 1, []byte{9, 1}) }, nil},
		{"empty padded HEADERS", func(c *wire) { c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded, 1, nil) }, nil},
		{"PUSH_PROMISE size", nil, func(s *wire) { s.WriteRawFrame(http2.FramePushPromise, 0, 1, []byte{9, 1}) }},
		{"RST_STREAM size", func(c *wire) { c.WriteRawFrame(http2.FrameRSTStream, 0, 1, []byte{9, 1}) }, nil},
		{"GOAWAY size", func(c *wire) { c.WriteRawFrame(http2.FrameGoAway, 0, 0, []byte{9, 1}) }, nil},
		{"lone CONTINUATION", func(c *wire) { c.WriteContinuation(1, true, nil) }, nil},
		{"frame in a block", func(c *wire) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: nil})
			c.WritePing(false, [8]byte{})
		}, nil},
		{"long block", func(c *wire) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x40, 0x7f, 0x81, 0xff, 0x0f}})
			for range MaxBlock / (16 << 10) {
				c.WriteContinuation(1, false, make([]byte, 16<<10))
			}
		}, nil},
		{"bomb", func(c *wire) {
			block := c.fields("a", strings.Repeat("x", 4000))
			for range MaxFields / 4000 {
				block = append(block, 0x80|62)
			}
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
		}, nil},
		{"bad index", func(c *wire) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0x7f}, EndHeaders: true})
		}, nil},
		{"cut block", func(c *wire) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x40}, EndHeaders: true})
		}, nil},
		{"table too large", func(c *wire) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x3f, 0xe2, 0x1f}, EndHeaders: true})
		}, nil},
		{"no method", func(c *wire) { c.headers(1, true, ":path", "/") }, nil},
		{"two methods", func(c *wire) { c.headers(1, true, ":method", "A", ":method", "B", ":path", "/") }, nil},
		{"status of a request", func(c *wire) { c.headers(1, true, ":method", "A", ":path", "/", ":status", "200") }, nil},
		{"pseudo field behind", func(c *wire) { c.headers(1, true, ":method", "A", "a", "b", ":path", "/") }, nil},
		{"no status", nil, func(s *wire) { s.headers(1, true, "a", "b") }},
		{"bad status", nil, func(s *wire) { s.headers(1, true, ":status", "20x") }},
		{"method of a response", nil, func(s *wire) { s.headers(1, true, ":method", "GET") }},
		{"interim end", nil, func(s *wire) { s.headers(1, true, ":status", "100") }},
		{"endless trailers", nil, func(s *wire) { s.headers(1, false, ":status", "200"); s.headers(1, false, "a", "b") }},
		{"many streams", func(c *wire) {
			for i := range uint32(MaxStreams + 1) {
				c.get(2*i + 1)
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := newWire(Preface), newWire("")
			if tt.client != nil {
				tt.client(c)
			} else {
				c.get(1)
			}
			if tt.server != nil {
				tt.server(s)
			}
			l, d, err := decode(c.Bytes(), s.Bytes(), 1<<20)
			if err == nil {
				t.Fatalf("decode = nil, events %q; want an error", l.lines)
			}
			n := len(l.lines)
			if again := d.Feed(exchange.Server, 0, s.Bytes(), l.emit); again != err {
				t.Errorf("Feed again = %v; want %v", again, err)
			}
			if again := d.Close(exchange.Server, 0, exchange.End{}, l.emit); again != err || len(l.lines) != n {
				t.Errorf("Close = %v, %d more events; want %v and none", again, len(l.lines)-n, err)
			}
		})
	}
}

func TestIsPreface(t *testing.T) {
	for _, tt := range []struct {
		in       string
		ok, more bool
	}{{"", false, true}, {"PRI", false, true}, {Preface, true, false}, {Preface + "x", true, false}, {"PRX", false, false}, {"GET /", false, false}} {
		if ok, more := IsPreface([]byte(tt.in)); ok != tt.ok || more != tt.more {
			t.Errorf("IsPreface(%q) = %v, %v; want %v, %v", tt.in, ok, more, tt.ok, tt.more)
		}
	}
}

// A tap feeds what passes through a connection to a decoder.
type tap struct {
	net.Conn
	mu *sync.Mutex
	d  *Decoder
	l  *listener
	t  *testing.T
}

func (c tap) feed(from exchange.Side, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.d.Feed(from, 0, b, c.l.emit); err != nil {
		c.t.Error(err)
	}
}

func (c tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.feed(exchange.Server, b[:n])
	return n, err
}

func (c tap) Write(b []byte) (int, error) {
	c.feed(exchange.Client, b)
	return c.Conn.Write(b)
}

// TestTapped decodes what net/http's client and server say to each other.
func TestTapped(t *testing.T) {
	near, far := net.Pipe()
	served := make(chan struct{})
	go serveEcho(far, served)
	c := tap{near, &sync.Mutex{}, NewDecoder(), &listener{}, t}
	tr := &http2.Transport{DisableCompression: true}
	cc, err := tr.NewClientConn(c)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("0123456789", 10<<10)
	for range 3 {
		req, _ := http.NewRequest("POST", "https://example.com/x?y", strings.NewReader(body))
		req.Header.Set("X-Long", strings.Repeat("z", 40<<10))
		resp, err := cc.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if string(got) != body || err != nil || resp.Trailer.Get("X-Sum") != "7" {
			t.Fatalf("echo = %d bytes, %v, trailers %v", len(got), err, resp.Trailer)
		}
	}
	cc.Close()
	<-served
	c.mu.Lock()
	defer c.mu.Unlock()
	var heads, ends int
	data := map[string]string{}
	for _, line := range c.l.lines {
		name, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(rest, "POST https://example.com /x?y"), strings.HasPrefix(rest, "200 [trailer=X-Sum]"):
			heads++
		case rest == "complete":
			ends++
		case strings.HasPrefix(rest, "data "):
			data[name] += rest[5:]
		case rest != "trailers [x-sum=7]":
			t.Errorf("event %.80q", line)
		}
	}
	for name, b := range data {
		if b != body {
			t.Errorf("data of %s is %d bytes; want %d", name, len(b), len(body))
		}
	}
	if heads != 6 || ends != 6 || len(data) != 6 {
		t.Errorf("%d heads, %d ends, %d bodies; want 6 each", heads, ends, len(data))
	}
}

// serveEcho is net/http's server, answering with what it gets.
func serveEcho(conn net.Conn, served chan<- struct{}) {
	defer close(served)
	(&http2.Server{}).ServeConn(conn, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
		w.Header().Set("X-Sum", "7")
	})})
}

// FuzzDecoder: never panics, and tells the same however the bytes are cut.
func FuzzDecoder(f *testing.F) {
	for _, tt := range talks {
		c, s := newWire(Preface), newWire("")
		tt.say(c, s)
		f.Add(c.Bytes()[len(Preface):], s.Bytes(), 7)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, n int) {
		client = append([]byte(Preface), client...)
		whole, d, err := decode(client, server, 1<<20)
		cut, _, cutErr := decode(client, server, max(1, n%64))
		if fmt.Sprint(err) != fmt.Sprint(cutErr) {
			t.Fatalf("decode = %v, cut %v", err, cutErr)
		}
		// Of a DATA frame that an error follows, a cut reading may tell more.
		if diff := cmp.Diff(whole.lines, cut.lines); err == nil && diff != "" {
			t.Errorf("whole and cut differ (-whole +cut):\n%s", diff)
		}
		if len(d.streams) > MaxStreams {
			t.Errorf("%d streams", len(d.streams))
		}
	})
}

func BenchmarkHeads(b *testing.B) {
	c, s := newWire(Preface), newWire("")
	d, emit := NewDecoder(), func(exchange.Event) {}
	d.Feed(exchange.Client, 0, c.Bytes(), emit)
	d.Feed(exchange.Server, 0, s.Bytes(), emit)
	id := uint32(1)
	b.ReportAllocs()
	for b.Loop() {
		c.Reset()
		s.Reset()
		c.headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "user-agent", "curl/8", "accept", "*/*")
		s.headers(id, false, ":status", "200", "content-type", "text/plain")
		s.WriteData(id, true, []byte("ok"))
		d.Feed(exchange.Client, 0, c.Bytes(), emit)
		if err := d.Feed(exchange.Server, 0, s.Bytes(), emit); err != nil {
			b.Fatal(err)
		}
		id += 2
	}
}
