package mitm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// TestMixedEndsWithTheRun: an origin that does not answer holds nothing up.
func TestMixedEndsWithTheRun(t *testing.T) {
	asked := make(chan struct{})
	origin := raw(t, func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		close(asked)
		io.Copy(io.Discard, c)
	})
	near, far := net.Pipe()
	defer far.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m := &Mixed{Record: Record{Upstream: new(Upstream)}, Player: &player{}}
		m.Handle(ctx, near, exchange.Origin{Addr: netip.MustParseAddrPort(origin)})
	}()
	io.WriteString(far, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	cancel()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("Handle goes on 5 s after its context's end")
	}
}

// TestMixedDialsAnew: a connection that the origin closed while it was idle is
// not used again, whatever the request.
func TestMixedDialsAnew(t *testing.T) {
	closed := make(chan struct{}, 2)
	origin := raw(t, func(c net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			req.Body.Close()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		c.Close()
		closed <- struct{}{}
	})
	w := newWatcher()
	m := &Mixed{Record: Record{Upstream: new(Upstream), Watcher: w}, Player: &player{}}
	conn, err := net.Dial("tcp", front(t, m, origin, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for range 2 {
		io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		<-closed
	}
	if heads, _, _ := w.seen(); len(heads) != 4 {
		t.Errorf("watched %v; want two exchanges", heads)
	}
}

// TestMixedConnectionClose: an answer that ends with the origin's connection is
// all there, and the next one is asked for by another.
func TestMixedConnectionClose(t *testing.T) {
	origin := raw(t, func(c net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			req.Body.Close()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\nto the end of "+req.URL.Path)
		}
	})
	w, l := newWatcher(), new(told)
	m := &Mixed{Record: Record{Upstream: new(Upstream), Watcher: w, Tell: l.tell()}, Player: &player{}}
	addr := front(t, m, origin, "")
	for _, path := range []string{"/one", "/two"} {
		if _, body := get(t, through(t, addr, nil), "http://"+addr+path); body != "to the end of "+path {
			t.Errorf("body %q; trouble %v", body, l.all())
		}
	}
	if heads, _, answer := w.seen(); len(heads) != 4 || answer != "to the end of /oneto the end of /two" {
		t.Errorf("watched %v %q", heads, answer)
	}
}

// TestMixedStreams has a stream from the origin reach its client piece by piece,
// and be recorded as left when the client does not stay.
func TestMixedStreams(t *testing.T) {
	next := make(chan struct{})
	defer close(next)
	origin := raw(t, func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range next {
			if _, err := fmt.Fprint(c, "9\r\ndata: x\n\n\r\n"); err != nil {
				return
			}
		}
	})
	w := newEnder()
	m := &Mixed{Record: Record{Upstream: new(Upstream), Watcher: w}, Player: &player{}}
	c, err := net.Dial("tcp", front(t, m, origin, ""))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	lines := bufio.NewReader(c)
	for n := range 3 {
		next <- struct{}{}
		for line := ""; line != "data: x\n"; {
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatalf("event %d: %v", n, err)
			}
		}
	}
	c.Close()
	waitFor(t, func() bool {
		select {
		case next <- struct{}{}:
		default:
		}
		return len(w.told()) > 0
	}, "no end of the answer is told")
	if d := cmp.Diff([]exchange.End{{How: exchange.Left}}, w.told()); d != "" {
		t.Errorf("ends (-want +got):\n%s", d)
	}
}
