package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A framed is a connection of an origin that speaks HTTP/2 frame by frame.
type framed struct {
	net.Conn
	*http2.Framer
	out   *bufio.Writer // of the Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	path  string
}

// head sends a head, or trailers.
func (o *framed) head(last bool, pairs ...string) {
	o.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		o.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	o.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: o.block.Bytes(), EndHeaders: true, EndStream: last})
}

// data sends a piece of body.
func (o *framed) data(last bool, s string) { o.WriteData(1, last, []byte(s)) }

// framedAnswers are what the origin does when it was asked, by path. What then
// comes is for framedPieces; the connection ends when its client ends it, or by
// cut.
var framedAnswers = map[string]func(o *framed, f *http2.MetaHeadersFrame){
	"/fields": func(o *framed, f *http2.MetaHeadersFrame) {
		o.head(false, ":status", "200")
		o.data(true, fmt.Sprint(f.Fields))
	},
	"/hints": func(o *framed, f *http2.MetaHeadersFrame) {
		o.head(false, ":status", "103", "link", "</a>", "link", "</b>")
		o.head(false, ":status", "103", "link", "</c>")
		o.head(false, ":status", "200", "x-b", "1", "set-cookie", "a=1", "x-a", "\xff", "set-cookie", "b=2", "x-b", "2", "trailer", "x-sum")
		o.data(false, "")
		o.data(false, "some ")
		o.WriteDataPadded(1, false, []byte("data"), make([]byte, 100))
		o.head(true, "x-sum", "7", "x-other", "not announced", "x-sum", "8")
	},
	"/only": func(o *framed, f *http2.MetaHeadersFrame) {
		o.head(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "nobody")
	},
	"/missing": func(o *framed, f *http2.MetaHeadersFrame) {
		o.head(false, ":status", "200", "trailer", "x-sum")
		o.data(true, "no trailers")
	},
	"/gzip": func(o *framed, f *http2.MetaHeadersFrame) {
		o.head(false, ":status", "200", "content-encoding", "gzip")
		o.data(true, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x4a\x4c")
	},
	"/big": func(o *framed, f *http2.MetaHeadersFrame) {
		o.head(false, ":status", "200")
		for range 6 {
			o.data(false, strings.Repeat("x", 10<<10))
		}
		o.data(true, "")
	},
	"/refused":  func(o *framed, f *http2.MetaHeadersFrame) { o.WriteRSTStream(1, http2.ErrCodeRefusedStream) },
	"/calm":     func(o *framed, f *http2.MetaHeadersFrame) { o.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm) },
	"/internal": func(o *framed, f *http2.MetaHeadersFrame) { o.half(); o.WriteRSTStream(1, http2.ErrCodeInternal) },
	"/unknown":  func(o *framed, f *http2.MetaHeadersFrame) { o.half(); o.WriteRSTStream(1, 0xabcdef) },
	"/enough": func(o *framed, f *http2.MetaHeadersFrame) {
		o.head(false, ":status", "413")
		o.data(true, "enough")
		o.WriteRSTStream(1, http2.ErrCodeNo)
	},
	"/goaway": func(o *framed, f *http2.MetaHeadersFrame) { o.WriteGoAway(0, http2.ErrCodeNo, nil) },
	"/goaway later": func(o *framed, f *http2.MetaHeadersFrame) {
		o.WriteGoAway(1, http2.ErrCodeNo, nil)
		o.half()
		o.data(true, "")
	},
	"/goaway code": func(o *framed, f *http2.MetaHeadersFrame) {
		o.half()
		o.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("bye"))
		o.fin()
	},
	"/fin":      func(o *framed, f *http2.MetaHeadersFrame) { o.fin() },
	"/fin late": func(o *framed, f *http2.MetaHeadersFrame) { o.half(); o.fin() },
	"/rst late": func(o *framed, f *http2.MetaHeadersFrame) { o.half(); o.WritePing(false, [8]byte{1}) },
	"/half":     func(o *framed, f *http2.MetaHeadersFrame) { o.half() },
	"/sink":     func(o *framed, f *http2.MetaHeadersFrame) {},
	"/echo":     func(o *framed, f *http2.MetaHeadersFrame) { o.head(false, ":status", "200") },
}

// half sends half of an answer.
func (o *framed) half() {
	o.head(false, ":status", "200")
	o.data(false, "half")
}

// fin ends what o sends, and still hears its client: what is not read would be
// answered by RST.
func (o *framed) fin() {
	o.out.Flush()
	o.Conn.(*net.TCPConn).CloseWrite()
}

// serveFrames is an origin whose answers are framedAnswers. It echoes what the
// client of /echo sends, as it comes.
func serveFrames(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	out := bufio.NewWriter(c)
	o := &framed{Conn: c, Framer: http2.NewFramer(out, c), out: out}
	o.ReadMetaHeaders, o.enc = hpack.NewDecoder(4<<10, nil), hpack.NewEncoder(&o.block)
	o.AllowIllegalWrites = true
	o.WriteSettings()
	for {
		o.out.Flush()
		f, err := o.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.PingFrame:
			if f.IsAck() { // what came before has been read
				cut(c)
				return
			}
			o.WritePing(true, f.Data)
		case *http2.MetaHeadersFrame:
			if o.path == "" {
				o.path = f.PseudoValue("path")
				framedAnswers[o.path](o, f)
			}
		case *http2.DataFrame:
			switch o.path {
			case "/echo":
				o.data(f.StreamEnded(), string(f.Data()))
			case "/sink":
				o.head(false, ":status", "103")
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				o.WriteSettingsAck()
			}
		}
	}
}

// serveOn has serve take the connections to port of V4Only until the test ends.
func (r *rig) serveOn(port uint16, serve func(net.Conn)) (addr string) {
	r.t.Helper()
	l, err := r.net.Listen("tcp", netip.AddrPortFrom(testnet.Lookup(testnet.V4Only).V4, port).String())
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns sync.WaitGroup
		defer conns.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serve(c) })
		}
	}()
	r.t.Cleanup(func() { l.Close(); <-done })
	return fmt.Sprintf("%s:%d", testnet.V4Only, port)
}

// TestFrames has a client that sees frames see the same ones direct, recorded,
// mixed and replayed; what is recorded on the way and of what missed is equal.
func TestFrames(t *testing.T) {
	r := newRig(t)
	addr := r.serveOn(9100, serveFrames)
	argv := []string{r.client("frames"), addr}
	for _, path := range []string{"/fields", "/hints", "/only", "/missing", "/gzip", "/big", "/refused", "/calm", "/internal",
		"/unknown", "/goaway", "/goaway later", "/goaway code", "/fin", "/fin late", "/rst late"} {
		argv = append(argv, "get:"+path)
	}
	argv = append(argv, "stop:/half", "leave:/half")
	replayed := len(argv)
	argv = append(argv, "talk:/echo", "upload:/enough", "hangup:/sink")
	direct := r.run(argv...)
	// What a connection says of itself is not an exchange's: docs/http2.md.
	played := strings.NewReplacer(
		"goaway NO_ERROR, the last stream 0", "reset REFUSED_STREAM",
		"goaway NO_ERROR, the last stream 1\n", "",
		"goaway ENHANCE_YOUR_CALM, the last stream 1\nconnection closed", "reset ENHANCE_YOUR_CALM",
	)
	seen := func(what string, want string, o outcome) {
		t.Helper()
		if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(o.stdout, "\n")); d != "" {
			t.Errorf("%s, the client sees (-direct +%s):\n%s\n%s", what, what, d, o.stderr)
		}
	}
	record := r.in(t, "")
	seen("record", direct.stdout, record.serge(append([]string{"record", "default", "--"}, argv...)...))
	mixed := r.in(t, "")
	seen("new", played.Replace(direct.stdout), mixed.serge(append([]string{"run", "--mode", "new", "--"}, argv...)...))
	if d := cmp.Diff(record.lasting(t), mixed.lasting(t)); d != "" {
		t.Errorf("the cassettes (-record +new):\n%s", d)
	}
	want, _, _ := strings.Cut(played.Replace(direct.stdout), "== "+argv[replayed]) // what follows is answered before it was asked
	seen("replay", want, record.serge(append([]string{"replay", "default", "--"}, argv[:replayed]...)...))
}

// lasting is the default cassette's lines without what is another in each recording.
func (r *rig) lasting(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "cassettes", "default.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, `"recorded_at"`) && !strings.Contains(line, `"timing"`) {
			lines = append(lines, line)
		}
	}
	return lines
}
