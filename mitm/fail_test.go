package mitm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// An ender keeps how exchanges ended beside what a watcher does.
type ender struct {
	*watcher

	mu   sync.Mutex
	ends []exchange.End
}

func newEnder() *ender { return &ender{watcher: newWatcher()} }

func (w *ender) Open(o exchange.Origin) (exchange.Watch, error) {
	w.watcher.Open(o)
	return w, nil
}

func (w *ender) Event(e exchange.Event) error {
	if e.Kind == exchange.KindEnd && e.From == exchange.Server {
		w.mu.Lock()
		w.ends = append(w.ends, *e.End)
		w.mu.Unlock()
	}
	return w.watcher.Event(e)
}

// told is how the exchanges ended, without what differs from run to run.
func (w *ender) told() []exchange.End {
	w.mu.Lock()
	defer w.mu.Unlock()
	ends := slices.Clone(w.ends)
	for i := range ends {
		ends[i].Wait, ends[i].Err = 0, ""
	}
	return ends
}

// nowhere is an address that nothing listens on.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// after is what a client reads that says words, and how it ends.
func after(t *testing.T, addr, words string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, words)
	b, err := io.ReadAll(c)
	return string(b), err
}

const posted = "POST /pay HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\nmoney"

// TestRecordRefused has an origin refuse: a request is recorded with that, and
// its client sees RST when it has made it.
func TestRecordRefused(t *testing.T) {
	origin := nowhere(t)
	refused := []exchange.End{{How: exchange.Refused, Phase: exchange.PhaseConnect, Errno: "ECONNREFUSED"}}
	for _, tt := range []struct{ name, words, head, body string }{
		{"a request", posted, "POST /pay", "money"},
		{"two requests", posted + "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /pay", "money"},
		{"one that waits for 100", "PUT /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", "PUT /x", ""},
		{"HTTP/2 in clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT ", ""},
		{"something else", "EHLO me\r\n", "CONNECT ", ""},
		{"nothing", "", "CONNECT ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, l := newEnder(), new(told)
			addr := front(t, &Record{Upstream: new(Upstream), Watcher: w, Tell: l.tell()}, origin, "")
			if _, err := after(t, addr, tt.words); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client reads %v; want ECONNRESET", err)
			}
			heads, body, _ := w.seen()
			if !slices.Equal(heads, []string{tt.head}) || body != tt.body {
				t.Errorf("recorded %q with body %q; want %q with %q", heads, body, tt.head, tt.body)
			}
			if d := cmp.Diff(refused, w.told()); d != "" {
				t.Errorf("ends (-want +got):\n%s", d)
			}
			if got := l.causes(); !slices.Equal(got, []Cause{Unreachable}) {
				t.Errorf("causes = %v; want one, Unreachable", got)
			}
		})
	}
}

// hello is a client's handshake with whom addr leads to.
func hello(addr string) error {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, &tls.Config{ServerName: apiName, InsecureSkipVerify: true})
	if err == nil {
		c.Close()
	}
	return err
}

// TestRecordFailedHandshake has origins fail in the handshake, and their clients
// see it as they did.
func TestRecordFailedHandshake(t *testing.T) {
	ends := func(say string, end func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			c.Read(make([]byte, 16<<10))
			io.WriteString(c, say)
			end(c)
		}
	}
	fin := func(c net.Conn) { c.Close() }
	for _, tt := range []struct {
		name   string
		origin func(net.Conn)
		want   exchange.End
		client string
	}{
		{"alert", ends("\x15\x03\x03\x00\x02\x02\x28", fin), exchange.End{How: exchange.TLSAlert, Code: 40}, "handshake failure"},
		{"FIN", ends("", fin), exchange.End{How: exchange.Truncated}, "EOF"},
		{"RST", ends("", reset), exchange.End{How: exchange.Reset, Errno: "ECONNRESET"}, "reset"},
		{"no TLS", ends("220 hello\r\n", fin), exchange.End{How: exchange.TLSAlert, Code: 80}, "internal error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Phase = exchange.PhaseTLS
			w := newEnder()
			r := &Record{Server: NewServer(newAuthority(t).leaf, false), Upstream: new(Upstream), Watcher: w}
			if err := hello(front(t, r, raw(t, tt.origin), "")); err == nil || !strings.Contains(err.Error(), tt.client) {
				t.Errorf("the client's handshake: %v; want %q", err, tt.client)
			}
			if d := cmp.Diff([]exchange.End{tt.want}, w.told()); d != "" {
				t.Errorf("ends (-want +got):\n%s", d)
			}
		})
	}
}

// TestRecordLeft has a client give up on an origin that says nothing, or no more.
func TestRecordLeft(t *testing.T) {
	for name, say := range map[string]string{"nothing": "", "half": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{})
			origin := raw(t, func(c net.Conn) {
				c.Read(make([]byte, 4096))
				io.WriteString(c, say)
				close(asked)
				io.Copy(io.Discard, c)
			})
			w := newEnder()
			c, err := net.Dial("tcp", front(t, &Record{Upstream: new(Upstream), Watcher: w}, origin, ""))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, posted)
			<-asked
			io.ReadFull(c, make([]byte, len(say)))
			c.Close()
			waitFor(t, func() bool { return len(w.told()) > 0 }, "no end of the answer is told")
			if d := cmp.Diff([]exchange.End{{How: exchange.Left}}, w.told()); d != "" {
				t.Errorf("ends (-want +got):\n%s", d)
			}
		})
	}
}

// TestDialGivenUp has a client leave while its origin is dialled.
func TestDialGivenUp(t *testing.T) {
	dialing := make(chan struct{})
	up := &Upstream{Dialer: net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		close(dialing)
		<-ctx.Done()
		return ctx.Err()
	}}}
	l := new(told)
	c, err := net.Dial("tcp", front(t, &Record{Upstream: up, Tell: l.tell()}, "127.0.0.1:9", ""))
	if err != nil {
		t.Fatal(err)
	}
	<-dialing
	c.Close()
	waitFor(t, func() bool { return len(l.causes()) > 0 }, "the dial goes on without its client")
}

// A failer is a player whose connections to TLS, or to all, fail.
type failer struct {
	player
	end exchange.End
}

func (f *failer) Fail(o exchange.Origin) (exchange.End, bool) { return f.end, true }

// TestReplayFails has a client's handshake see what was recorded.
func TestReplayFails(t *testing.T) {
	for _, tt := range []struct {
		end  exchange.End
		want string
	}{
		{exchange.End{How: exchange.Refused, Phase: exchange.PhaseConnect}, "reset"},
		{exchange.End{How: exchange.Timeout, Phase: exchange.PhaseConnect}, "reset"},
		{exchange.End{How: exchange.Reset, Phase: exchange.PhaseTLS}, "reset"},
		{exchange.End{How: exchange.Truncated, Phase: exchange.PhaseTLS}, "EOF"},
		{exchange.End{How: exchange.TLSAlert, Code: 40, Phase: exchange.PhaseTLS}, "handshake failure"},
		{exchange.End{How: exchange.Left, Phase: exchange.PhaseTLS, Wait: time.Millisecond}, "reset"},
	} {
		r := &Replay{Server: NewServer(newAuthority(t).leaf, false), Player: &failer{end: tt.end}}
		start := time.Now()
		if err := hello(front(t, r, "192.0.2.1:443", apiName)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: the client's handshake: %v; want %q", tt.end.How, err, tt.want)
		}
		if took := time.Since(start); tt.end.How == exchange.Left && took < time.Second {
			t.Errorf("%v: silent for %v; want a second and more", tt.end.How, took)
		}
	}
}

// TestReplayFailsInWords has a client that asked for its origin in words be told
// in words, as it was when it was recorded.
func TestReplayFailsInWords(t *testing.T) {
	recorded := &Record{Upstream: new(Upstream)}
	end := dialed(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, 0)
	origin := nowhere(t)
	for name, way := range map[string]Way{"recorded": recorded, "replayed": &Replay{Player: &failer{end: end}}} {
		x := &Explicit{Way: way}
		near, far := net.Pipe()
		var serving sync.WaitGroup
		serving.Go(func() { x.Handle(t.Context(), far, exchange.Caller{}) })
		fmt.Fprintf(near, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", origin)
		near.SetDeadline(time.Now().Add(10 * time.Second))
		answer, _ := io.ReadAll(near)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 502 ") || !strings.Contains(string(answer), "connection refused") {
			t.Errorf("%s: the answer is %q; want 502 and why", name, answer)
		}
		near.Close()
		serving.Wait()
	}
}

// TestMixedRefused has what misses be recorded with its failure.
func TestMixedRefused(t *testing.T) {
	w := newEnder()
	m := &Mixed{Record: Record{Upstream: new(Upstream), Watcher: w}, Player: &player{}}
	if _, err := after(t, front(t, m, nowhere(t), ""), posted); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads %v; want ECONNRESET", err)
	}
	want := []exchange.End{{How: exchange.Refused, Phase: exchange.PhaseConnect, Errno: "ECONNREFUSED"}}
	if d := cmp.Diff(want, w.told()); d != "" {
		t.Errorf("ends (-want +got):\n%s", d)
	}
	if heads, body, _ := w.seen(); !slices.Equal(heads, []string{"POST /pay"}) || body != "money" {
		t.Errorf("recorded %q with %q", heads, body)
	}
}

// TestMixedRefusedHTTP2 is TestMixedRefused for a client of HTTP/2.
func TestMixedRefusedHTTP2(t *testing.T) {
	ours, w := newAuthority(t), newEnder()
	p := &player{offer: exchange.Offer{Recorded: true, ALPN: []string{"h2"}}}
	m := &Mixed{Record: Record{Server: NewServer(ours.leaf, false), Upstream: new(Upstream), Watcher: w}, Player: p}
	addr := front(t, m, nowhere(t), "")
	if res, err := through(t, addr, ours.pool, "h2").Get("https://" + addr + "/x"); err == nil {
		res.Body.Close()
		t.Errorf("the client gets %s; want an error", res.Status)
	}
	if heads, _, _ := w.seen(); len(w.told()) == 0 || w.told()[0].How != exchange.Refused || heads[0] != "GET /x" {
		t.Errorf("recorded %q with %+v; want GET /x, refused", heads, w.told())
	}
}

func TestFailureOf(t *testing.T) {
	dial := func(err error) error { return fmt.Errorf("connect: %w", &net.OpError{Op: "dial", Err: err}) }
	errno := func(e syscall.Errno) error { return dial(os.NewSyscallError("connect", e)) }
	const connect, handshake = exchange.PhaseConnect, exchange.PhaseTLS
	for _, tt := range []struct {
		name string
		got  exchange.End
		want exchange.End
	}{
		{"refused", dialed(errno(syscall.ECONNREFUSED), 0), exchange.End{How: exchange.Refused, Phase: connect, Errno: "ECONNREFUSED"}},
		{"no route", dialed(errno(syscall.ENETUNREACH), 0), exchange.End{How: exchange.Unreachable, Phase: connect, Errno: "ENETUNREACH"}},
		{"no host", dialed(errno(syscall.EHOSTUNREACH), 0), exchange.End{How: exchange.Unreachable, Phase: connect, Errno: "EHOSTUNREACH"}},
		{"kernel's timeout", dialed(errno(syscall.ETIMEDOUT), 0), exchange.End{How: exchange.Timeout, Phase: connect, Errno: "ETIMEDOUT"}},
		{"our timeout", dialed(dial(context.DeadlineExceeded), 0), exchange.End{How: exchange.Timeout, Phase: connect, Errno: "ETIMEDOUT"}},
		{"no name", dialed(dial(&net.DNSError{Err: "no such host", IsNotFound: true}), 0), exchange.End{How: exchange.Unresolved, Phase: exchange.PhaseDNS}},
		{"left", dialed(errLeft, 0), exchange.End{How: exchange.Left, Phase: connect}},
		{"untrusted", shaken(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, 0), exchange.End{How: exchange.TLSAlert, Code: 80, Phase: handshake}},
		{"no answer", shaken(dial(context.DeadlineExceeded), 0), exchange.End{How: exchange.Timeout, Phase: handshake}},
		{"left in TLS", shaken(errLeft, 0), exchange.End{How: exchange.Left, Phase: handshake}},
	} {
		tt.got.Err = ""
		if d := cmp.Diff(tt.want, tt.got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		back := &failure{tt.got}
		if tt.want.How == exchange.Refused && !errors.Is(back, syscall.ECONNREFUSED) {
			t.Errorf("%s: as an error it is not ECONNREFUSED", tt.name)
		}
	}
	if o := (exchange.Origin{Addr: netip.MustParseAddrPort("192.0.2.1:443")}); connected(o) != "192.0.2.1:443" {
		t.Errorf("connected(%v) = %s", o, connected(o))
	}
}
