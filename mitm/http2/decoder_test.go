package http2

//lint:file-ignore SA1019 what net/http has instead takes a listener or dials; here the connection is made

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
	mu     sync.Mutex
	lines  []string
	sorted bool // requests' fields by name: net/http sends them in no order
}

func (l *listener) emit(e exchange.Event) {
	line := fmt.Sprintf("%c%d ", e.From.String()[0], e.Stream)
	if l.sorted && e.Head != nil {
		h := *e.Head
		h.Fields = slices.SortedStableFunc(slices.Values(h.Fields), func(a, b exchange.Field) int { return strings.Compare(a.Name, b.Name) })
		e.Head = &h
	}
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
	for _, tt := range refused {
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

// TestExcused has what a client sent before it heard that nothing more is needed
// be its request's, for as many streams as are waited for.
func TestExcused(t *testing.T) {
	c, s := newWire(Preface), newWire("")
	c.WriteSettings()
	s.WriteSettings()
	d, l := NewDecoder(), &listener{}
	pass := func(from exchange.Side, w *wire) {
		t.Helper()
		if err := d.Feed(from, 0, w.Bytes(), l.emit); err != nil {
			t.Fatal(err)
		}
		w.Reset()
	}
	const streams = maxExcused + 2
	for i := range streams {
		id := uint32(2*i + 1)
		c.headers(id, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
		pass(exchange.Client, c)
		s.headers(id, true, ":status", "413")
		s.WriteRSTStream(id, http2.ErrCodeNo)
		pass(exchange.Server, s)
	}
	for i := range streams {
		c.WriteData(uint32(2*i+1), true, []byte("late"))
	}
	pass(exchange.Client, c)
	got := map[string]int{}
	for _, line := range l.lines {
		_, what, _ := strings.Cut(line, " ")
		got[what]++
	}
	want := map[string]int{"PUT https://a /": streams, "413": streams, "complete": streams + maxExcused, "data late": maxExcused, "reset": streams - maxExcused}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if n := len(d.open()); n != 0 {
		t.Errorf("%d streams are open; want none", n)
	}
}
