package http2

//lint:file-ignore SA1019 what net/http has instead takes a listener or dials; here the connection is made

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// TestServeBulk sends more than any window both ways.
func TestServeBulk(t *testing.T) {
	const up, down = 2 * serveHeld, 3 << 20
	var got int
	conn, _ := serve(t, func(e exchange.Event, answer func(exchange.Event) error) error {
		if got += len(e.Data); e.Kind != exchange.KindEnd {
			return nil
		}
		events := slices.Repeat([]exchange.Event{data(strings.Repeat("x", down/16))}, 16)
		for _, a := range slices.Concat([]exchange.Event{head(200)}, events, []exchange.Event{ended(exchange.Complete)}) {
			if err := answer(a); err != nil {
				return err
			}
		}
		return nil
	})
	cc, err := (&http2.Transport{}).NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	req, _ := http.NewRequest("POST", "https://h/", bytes.NewReader(make([]byte, up)))
	resp, err := cc.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if n != down || err != nil || got != up {
		t.Errorf("%d bytes up, %d down, %v; want %d and %d", got, n, err, up, down)
	}
}

// frameTalks are what a client writes, and what the server says to it.
var frameTalks = []struct {
	name string
	talk func(c *wire)
	want []string
}{
	{"ping", func(c *wire) { c.WritePing(false, [8]byte{1}) }, []string{"PING ack"}},
	{"window", func(c *wire) {
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
		c.getPath(1, "/eight")
	}, []string{"HEADERS 1", "DATA 1 abc"}},
	{"more window", func(c *wire) {
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		c.getPath(1, "/eight")
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 8})
	}, []string{"HEADERS 1", "DATA 1 abcdefgh", "DATA 1 end"}},
	{"an even stream", func(c *wire) { c.getPath(2, "/empty") }, []string{"GOAWAY PROTOCOL_ERROR"}},
	{"data on no stream", func(c *wire) { c.WriteData(9, false, []byte("x")) }, []string{"GOAWAY PROTOCOL_ERROR"}},
	{"no path", func(c *wire) { c.headers(1, true, ":method", "GET", ":scheme", "https") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
	{"upper case", func(c *wire) { c.getPath(1, "/empty", "X-Y", "z") }, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
	{"data behind the end", func(c *wire) {
		c.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/wait")
		c.WriteData(1, true, []byte("x"))
	}, []string{"RST_STREAM 1 STREAM_CLOSED"}},
	{"data behind our reset", func(c *wire) {
		c.headers(1, false, ":method", "GET")
		c.WriteData(1, false, []byte("x"))
		c.headers(1, true, "x-sum", "1")
		c.WritePing(false, [8]byte{1})
	}, []string{"RST_STREAM 1 PROTOCOL_ERROR", "PING ack"}},
	{"a head behind the end", func(c *wire) {
		c.getPath(1, "/wait")
		c.getPath(1, "/wait")
	}, []string{"GOAWAY STREAM_CLOSED"}},
	{"trailers that are none", func(c *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":path", "/wait")
		c.headers(1, true, ":path", "/")
	}, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
	{"less than its length", func(c *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":path", "/wait", "content-length", "2")
		c.WriteData(1, true, []byte("x"))
	}, []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
	{"fields beyond all bounds", func(c *wire) {
		block := c.fields(append(asked("/wait"), "x", strings.Repeat("\xff", 3000))...)
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: append(block, strings.Repeat("\xbe", 1000)...)})
		c.WritePing(false, [8]byte{1})
	}, []string{"RST_STREAM 1 ENHANCE_YOUR_CALM", "PING ack"}},
	{"windows of all streams overflow", func(c *wire) {
		c.getPath(1, "/wait")
		c.WriteWindowUpdate(1, 1<<30)
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	}, []string{"GOAWAY FLOW_CONTROL_ERROR"}},
	{"no settings first", func(c *wire) {
		c.Reset()
		c.WriteString(Preface)
		c.WritePing(false, [8]byte{1})
	}, []string{"GOAWAY PROTOCOL_ERROR"}},
	{"no preface", func(c *wire) {
		c.Reset()
		c.WriteString("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	}, []string{"GOAWAY PROTOCOL_ERROR"}},
	{"left by GOAWAY", func(c *wire) { c.getPath(1, "/goaway") }, []string{"RST_STREAM 1 REFUSED_STREAM"}},
	{"left by GOAWAY behind a head", func(c *wire) { c.getPath(1, "/goaway later") }, []string{"HEADERS 1", "RST_STREAM 1 INTERNAL_ERROR"}},
	{"code", func(c *wire) { c.getPath(1, "/cancel") }, []string{"RST_STREAM 1 CANCEL"}},
	{"many fields", func(c *wire) { c.getPath(1, "/large") }, []string{"HEADERS 1", "CONTINUATION 1", "CONTINUATION 1 end"}},
}

// getPath is a GET of path, with more fields.
func (w *wire) getPath(id uint32, path string, pairs ...string) {
	w.headers(id, true, append([]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", path}, pairs...)...)
}

// TestServeFrames talks in frames: what the server says to each, but for its
// own SETTINGS, its acknowledgement of ours and the connection's windows.
func TestServeFrames(t *testing.T) {
	for _, tt := range frameTalks {
		t.Run(tt.name, func(t *testing.T) {
			talk(t, tt.talk, tt.want)
		})
	}
}

// frameReplies are TestServeFrames'. What is not there is never answered.
var frameReplies = map[string][]exchange.Event{
	"/eight":        {head(200), data("abcdefgh"), ended(exchange.Complete)},
	"/cancel":       {{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{How: exchange.Reset, Code: uint32(http2.ErrCodeCancel)}}},
	"/goaway":       {{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{How: exchange.Reset, Err: goawayText(0)}}},
	"/goaway later": {head(200), {From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{How: exchange.Reset, Err: goawayText(0)}}},
	"/large":        {head(200, "content-length", "0", "x", strings.Repeat("\xff", 40<<10)), ended(exchange.Complete)},
}

// talk plays frameReplies to what say writes, and compares the frames that
// come back, until as many are there as want.
func talk(t *testing.T, say func(*wire), want []string) {
	conn, far := net.Pipe()
	var serving sync.WaitGroup
	defer serving.Wait()
	defer conn.Close()
	serving.Go(func() {
		Serve(t.Context(), far, "https", func(e exchange.Event, answer func(exchange.Event) error) error {
			if e.Kind != exchange.KindHead {
				return nil
			}
			for _, a := range frameReplies[e.Head.Target] {
				if err := answer(a); err != nil {
					return err
				}
			}
			return nil
		})
	})
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	c := newWire(Preface)
	say(c)
	serving.Go(func() { conn.Write(c.Bytes()) })
	in := http2.NewFramer(nil, conn)
	var got []string
	for len(got) < len(want) {
		f, err := in.ReadFrame()
		if err != nil {
			t.Errorf("after %q: %v", got, err)
			break
		}
		if line := told(f); line != "" {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

// told is f in a line, "" if it tells nothing.
func told(f http2.Frame) string {
	line := f.Header().Type.String()
	id := string(rune('0' + f.Header().StreamID))
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return ""
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			return ""
		}
	case *http2.PingFrame:
		if f.IsAck() {
			return line + " ack"
		}
	case *http2.GoAwayFrame:
		return line + " " + f.ErrCode.String()
	case *http2.RSTStreamFrame:
		return line + " " + id + " " + f.ErrCode.String()
	case *http2.DataFrame:
		line += " " + id
		if len(f.Data()) > 0 {
			line += " " + string(f.Data())
		}
		if f.StreamEnded() {
			line += " end"
		}
		return line
	case *http2.ContinuationFrame:
		if f.HeadersEnded() {
			return line + " " + id + " end"
		}
	}
	return line + " " + id
}
