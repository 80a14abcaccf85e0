package http2

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// clientFrames is what a client sends behind its preface, by write.
func clientFrames(write func(*http2.Framer)) []byte {
	var b bytes.Buffer
	write(http2.NewFramer(&b, nil))
	return b.Bytes()
}

// requestBlock is the field block of a request.
func requestBlock(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// FuzzServe: whatever a client sends and then leaves, Serve comes to its end,
// every request that it plays begins with a head and ends once, and nothing
// panics.
func FuzzServe(f *testing.F) {
	get := requestBlock(":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/", "te", "trailers")
	f.Add(clientFrames(func(w *http2.Framer) {
		w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: get, EndHeaders: true, EndStream: true})
		w.WriteWindowUpdate(0, 1<<20)
		w.WriteWindowUpdate(1, 100)
		w.WritePing(false, [8]byte{1})
	}))
	f.Add(clientFrames(func(w *http2.Framer) {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: get[:5]})
		w.WriteContinuation(1, true, get[5:])
		w.WriteData(1, false, []byte("body"))
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: requestBlock("x-sum", "1"), EndHeaders: true, EndStream: true})
		w.WriteRSTStream(1, http2.ErrCodeCancel)
		w.WriteGoAway(1, http2.ErrCodeNo, nil)
	}))
	f.Add(clientFrames(func(w *http2.Framer) {
		w.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14})
		for id := uint32(1); id < 9; id += 2 {
			w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: get, EndHeaders: true})
			w.WriteRSTStream(id, http2.ErrCodeCancel)
		}
	}))
	f.Fuzz(func(t *testing.T, frames []byte) {
		near, far := net.Pipe()
		drained := make(chan struct{})
		go func() { defer close(drained); io.Copy(io.Discard, far) }()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			io.WriteString(far, Preface)
			far.Write(frames)
			far.Close()
		}()
		p := &order{t: t, heads: map[uint64]bool{}}
		Serve(t.Context(), near, "https", p.play)
		<-sent
		<-drained
	})
}

// order holds the events of requests to their order, and answers each at its end.
type order struct {
	t *testing.T

	mu    sync.Mutex
	heads map[uint64]bool // streams that have begun: whether they have ended
}

func (o *order) play(e exchange.Event, answer func(exchange.Event) error) error {
	o.mu.Lock()
	ended, begun := o.heads[e.Stream]
	if begun == (e.Kind == exchange.KindHead) || ended {
		o.t.Errorf("stream %d: kind %d; begun %t, ended %t", e.Stream, e.Kind, begun, ended)
	}
	o.heads[e.Stream] = e.Kind == exchange.KindEnd
	o.mu.Unlock()
	if e.Kind != exchange.KindEnd {
		return nil
	}
	for _, r := range []exchange.Event{
		{Kind: exchange.KindHead, Head: &exchange.Head{Status: 200, Version: "2", Fields: []exchange.Field{{Name: "x-a", Value: "b"}}}},
		{Kind: exchange.KindData, Data: []byte("hello")},
		{Kind: exchange.KindEnd, End: &exchange.End{}},
	} {
		r.Stream, r.From = e.Stream, exchange.Server
		if err := answer(r); err != nil {
			return err
		}
	}
	return nil
}
