package mitm

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// eager is a player for which every request misses by its head.
type eager struct{ player }

func (p *eager) Open(o exchange.Origin) (exchange.Play, error) { return p, nil }
func (p *eager) Close()                                        {}
func (p *eager) Event(e exchange.Event, _ func(exchange.Event) error) error {
	return &exchange.Miss{Reason: "it is not recorded"}
}

// TestMixedEnough: a client whose origin has answered, and needs no more of the
// request, is told so, whatever of it was on the way.
func TestMixedEnough(t *testing.T) {
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("enough"))
	}))
	origin.Config.Protocols = new(http.Protocols)
	origin.Config.Protocols.SetUnencryptedHTTP2(true)
	origin.Start()
	defer origin.Close()
	m := &Mixed{Record: Record{Upstream: new(Upstream)}, Player: &eager{}}
	addr := front(t, m, origin.Listener.Addr().String(), "")
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if got := uploads(ctx, t, addr, 100_000); got != "answer RST_STREAM NO_ERROR" && got != "answer all sent" {
			t.Errorf("the client sees %q", got)
		}
		cancel()
	}
}

// uploads sends size bytes as the windows allow, and says what became of it.
func uploads(ctx context.Context, t *testing.T, addr string, size int) (got string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	c.Write([]byte(http2.ClientPreface))
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	stream, conn := 64<<10-1, 64<<10-1
	piece := make([]byte, 16<<10)
	for answered := false; ; {
		for n := min(size, stream, conn, len(piece)); n > 0; n = min(size, stream, conn, len(piece)) {
			size, stream, conn = size-n, stream-n, conn-n
			f.WriteData(1, size == 0, piece[:n])
		}
		if answered && size == 0 {
			return got + "all sent"
		}
		in, err := f.ReadFrame()
		if err != nil {
			return got + err.Error()
		}
		switch in := in.(type) {
		case *http2.WindowUpdateFrame:
			if in.StreamID == 0 {
				conn += int(in.Increment)
			} else {
				stream += int(in.Increment)
			}
		case *http2.DataFrame:
			if answered = in.StreamEnded(); answered {
				got = "answer "
			}
		case *http2.RSTStreamFrame:
			return got + "RST_STREAM " + in.ErrCode.String()
		}
	}
}
