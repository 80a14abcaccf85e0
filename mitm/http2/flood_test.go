package http2

import (
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// asked is the fields of a request for path.
func asked(path string, pairs ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", path}, pairs...)
}

// floods are what a client sends once and then for as long as it can: what it
// is left with.
var floods = []struct {
	name  string
	begin func(c *wire)
	again func(c *wire, id uint32)
	want  http2.ErrCode
}{
	{"empty CONTINUATION", func(c *wire) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(asked("/")...)})
	}, func(c *wire, _ uint32) { c.WriteContinuation(1, false, nil) }, http2.ErrCodeEnhanceYourCalm},
	{"CONTINUATION", func(c *wire) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(asked("/")...)})
	}, func(c *wire, _ uint32) { c.WriteContinuation(1, false, c.fields("x", strings.Repeat("\xff", 4<<10))) }, http2.ErrCodeProtocol},
	{"rapid reset", nil, func(c *wire, id uint32) {
		c.headers(id, true, asked("/none")...)
		c.WriteRSTStream(id, http2.ErrCodeCancel)
	}, http2.ErrCodeEnhanceYourCalm},
	{"rapid reset of slow answers", nil, func(c *wire, id uint32) {
		c.headers(id, true, asked("/slow")...)
		c.WriteRSTStream(id, http2.ErrCodeCancel)
	}, http2.ErrCodeEnhanceYourCalm},
	{"malformed requests", nil, func(c *wire, id uint32) { c.headers(id, true, ":method", "GET") }, http2.ErrCodeEnhanceYourCalm},
	{"SETTINGS", nil, func(c *wire, _ uint32) { c.WriteSettings() }, http2.ErrCodeEnhanceYourCalm},
	{"many settings", nil, func(c *wire, _ uint32) {
		var all []http2.Setting
		for n := range uint32(2000) {
			all = append(all, http2.Setting{ID: http2.SettingInitialWindowSize, Val: n})
		}
		c.WriteSettings(all...)
	}, http2.ErrCodeEnhanceYourCalm},
	{"PING", nil, func(c *wire, _ uint32) { c.WritePing(false, [8]byte{}) }, http2.ErrCodeEnhanceYourCalm},
	{"PRIORITY", nil, func(c *wire, id uint32) { c.WritePriority(id, http2.PriorityParam{StreamDep: 1 << 30}) }, http2.ErrCodeEnhanceYourCalm},
	{"unknown frames", nil, func(c *wire, _ uint32) { c.WriteRawFrame(0xee, 0, 0, nil) }, http2.ErrCodeEnhanceYourCalm},
	{"empty DATA", func(c *wire) { c.headers(1, false, asked("/slow")...) },
		func(c *wire, _ uint32) { c.WriteData(1, false, nil) }, http2.ErrCodeEnhanceYourCalm},
	{"padding", func(c *wire) { c.headers(1, false, asked("/slow")...) },
		func(c *wire, _ uint32) { c.WriteDataPadded(1, false, nil, make([]byte, 255)) }, http2.ErrCodeEnhanceYourCalm},
	{"data for a stream that is no more", func(c *wire) { c.headers(1, false, ":method", "GET") },
		func(c *wire, _ uint32) { c.WriteData(1, false, []byte("x")) }, http2.ErrCodeEnhanceYourCalm},
	{"tiny windows", func(c *wire) {
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		c.headers(1, true, asked("/long")...)
	}, func(c *wire, _ uint32) { c.WriteWindowUpdate(1, 1) }, http2.ErrCodeEnhanceYourCalm},
	{"bodies that nobody takes", nil, func(c *wire, id uint32) {
		c.headers(id, false, asked("/slow")...)
		c.WriteData(id, false, make([]byte, 16<<10))
	}, http2.ErrCodeFlowControl},
	{"frames above what is taken", nil, func(c *wire, _ uint32) {
		c.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<20))
	}, http2.ErrCodeFrameSize},
	{"bombs", func(c *wire) { c.fields("b", strings.Repeat("x", 4000)) }, func(c *wire, id uint32) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: append(c.fields(asked("/slow", "b", strings.Repeat("x", 4000))...), strings.Repeat("\xbe", 10_000)...)})
	}, http2.ErrCodeEnhanceYourCalm},
}

// flooded plays what floods ask for. Slow answers come when release is closed.
func flooded(release <-chan struct{}) Play {
	var mu sync.Mutex
	paths := map[uint64]string{}
	long := data(strings.Repeat("x", 1<<20))
	return func(e exchange.Event, answer func(exchange.Event) error) error {
		mu.Lock()
		path := paths[e.Stream]
		if e.Kind == exchange.KindHead {
			path = e.Head.Target
			paths[e.Stream] = path
		}
		if e.Kind == exchange.KindEnd {
			delete(paths, e.Stream)
		}
		mu.Unlock()
		if path == "/slow" {
			<-release
		}
		if e.Kind != exchange.KindEnd {
			return nil
		}
		if err := answer(head(200)); err != nil {
			return err
		}
		if path == "/long" {
			if err := answer(long); err != nil {
				return err
			}
		}
		return answer(ended(exchange.Complete))
	}
}

// TestFloods holds that each ends with a GOAWAY that says why, at a bounded cost.
func TestFloods(t *testing.T) {
	const most = serveStreams * 6 << 10 // bytes that a flood may cost, with its client's
	for _, tt := range floods {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				release := make(chan struct{})
				before := cost()
				go Serve(t.Context(), far, "https", flooded(release))
				told := make(chan http2.ErrCode, 1)
				go watchGoAway(near, told)
				c := newWire(Preface)
				if tt.begin != nil {
					tt.begin(c)
				}
				var code http2.ErrCode
				over := false
				for id := uint32(3); !over; id += 2 {
					if tt.again(c, id); c.Len() < 64<<10 && id&0x3ff != 1 {
						continue
					}
					if id > 1<<19 {
						t.Fatal("no end to it")
					}
					near.SetWriteDeadline(time.Now().Add(time.Minute))
					near.Write(c.Bytes())
					c.Reset()
					synctest.Wait()
					select {
					case code = <-told:
						over = true
					default:
					}
				}
				if spent := cost() - before; code != tt.want || spent > most {
					t.Errorf("left with %v at %d KiB; want %v", code, spent>>10, tt.want)
				}
				close(release)
				near.Close()
				synctest.Wait()
			})
		})
	}
}

// cost is what the program holds.
func cost() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// watchGoAway reads conn until its end, and tells the code of GOAWAY.
func watchGoAway(conn net.Conn, told chan<- http2.ErrCode) {
	in := http2.NewFramer(nil, conn)
	for {
		f, err := in.ReadFrame()
		if err != nil {
			return
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			told <- g.ErrCode
		}
	}
}

// TestUnread: who sends and does not read costs no more than what waits for it,
// and is left in the end.
func TestUnread(t *testing.T) {
	const batch = 8000
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go Serve(t.Context(), far, "https", flooded(nil))
		c := newWire(Preface)
		for id := uint32(1); id < 2*many; id += 2 {
			c.headers(id, true, asked("/long")...)
		}
		near.Write(c.Bytes())
		synctest.Wait()
		before := cost()
		c.Reset()
		for range batch {
			c.WritePing(false, [8]byte{})
		}
		var err error
		pings, most := 0, int64(0)
		for ; err == nil && pings < 1<<20; pings += batch {
			_, err = near.Write(c.Bytes())
			synctest.Wait()
			most = max(most, cost()-before)
		}
		if err == nil || most > 2<<20 {
			t.Errorf("after %d pings: %v; %d KiB held", pings, err, most>>10)
		}
		near.Close()
		synctest.Wait()
	})
}

// gated counts the writes of a connection, and holds them up until it is open.
type gated struct {
	net.Conn
	open   chan struct{}
	writes int
}

func (g *gated) Write(b []byte) (int, error) {
	<-g.open
	g.writes++
	return g.Conn.Write(b)
}

// many is how many streams are open at once.
const many = 10_000

// TestOneFlush: what is answered while one write lasts goes out in the next.
func TestOneFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		g := &gated{Conn: far, open: make(chan struct{})}
		go Serve(t.Context(), g, "https", flooded(nil))
		c := newWire(Preface)
		for id := uint32(1); id < 2*many; id += 2 {
			c.headers(id, true, asked("/none")...)
		}
		near.Write(c.Bytes())
		synctest.Wait()
		done := make(chan int)
		go func() { done <- completed(near, many) }()
		close(g.open)
		if n := <-done; n != many || g.writes > 3 {
			t.Errorf("%d answers in %d writes; want %d in at most 3", n, g.writes, many)
		}
		near.Close()
		synctest.Wait()
	})
}

// completed reads from conn until n streams are at their end.
func completed(conn io.Reader, n int) int {
	in := http2.NewFramer(nil, conn)
	ended := 0
	for ended < n {
		f, err := in.ReadFrame()
		if err != nil {
			return ended
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				ended++
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				ended++
			}
		}
	}
	return ended
}

// TestStalled opens 10,000 streams whose client takes no data, then a byte of
// each, then all of it.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 3000
		body := data(strings.Repeat("x", size))
		near, far := net.Pipe()
		before := cost()
		go Serve(t.Context(), far, "https", func(e exchange.Event, answer func(exchange.Event) error) error {
			if e.Kind != exchange.KindEnd {
				return nil
			}
			for _, a := range []exchange.Event{head(200), body, ended(exchange.Complete)} {
				if err := answer(a); err != nil {
					return err
				}
			}
			return nil
		})
		got := make(chan int, 1)
		var taken int64
		go func() { n := completed(countData{near, &taken}, many); got <- n }()
		c := newWire(Preface)
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for id := uint32(1); id < 2*many; id += 2 {
			c.headers(id, true, asked("/")...)
		}
		near.Write(c.Bytes())
		synctest.Wait()
		each := (cost() - before) / many
		c.Reset()
		for id := uint32(1); id < 2*many; id += 2 {
			c.WriteWindowUpdate(id, 1)
		}
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: size})
		near.Write(c.Bytes())
		synctest.Wait()
		if taken > 1<<20 {
			t.Errorf("%d bytes beyond the connection's window", taken)
		}
		c.Reset()
		c.WriteWindowUpdate(0, many*size)
		near.Write(c.Bytes())
		if n := <-got; n != many || each > 16<<10 {
			t.Errorf("%d of %d streams, at %d bytes each", n, many, each)
		}
		t.Logf("%d bytes for each stream that waits", each)
		near.Close()
		synctest.Wait()
	})
}

// countData counts what is read.
type countData struct {
	io.Reader
	n *int64
}

func (c countData) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	*c.n += int64(n)
	return n, err
}

// TestTurns: a stream that waits for the connection's window keeps nobody from
// sending what needs none.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		large := head(200, "content-length", "0", "x", strings.Repeat("\xff", 40<<10))
		go Serve(t.Context(), far, "https", func(e exchange.Event, answer func(exchange.Event) error) error {
			answers := []exchange.Event{large, ended(exchange.Complete)}
			if e.Stream == 1 {
				answers = []exchange.Event{head(200), data(strings.Repeat("x", 1<<20))}
			}
			for _, a := range answers {
				if err := answer(a); e.Kind != exchange.KindHead || err != nil {
					return err
				}
			}
			return nil
		})
		c := newWire(Preface)
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		c.headers(1, false, asked("/")...)
		near.Write(c.Bytes())
		synctest.Wait() // for the connection's window to be used up
		c.Reset()
		const n = 20
		for id := uint32(3); id < 3+2*n; id += 2 {
			c.headers(id, false, asked("/")...)
		}
		near.Write(c.Bytes())
		synctest.Wait() // for the room to be
		near.SetReadDeadline(time.Now().Add(time.Minute))
		if got := completed(near, n); got != n {
			t.Errorf("%d answers; want %d", got, n)
		}
		near.Close()
		synctest.Wait()
	})
}
