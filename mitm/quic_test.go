package mitm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go"
	quichttp "github.com/quic-go/quic-go/http3"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http3"
)

// datagrams are those of a socket, all meant for one origin.
type datagrams struct {
	*net.UDPConn
	origin netip.AddrPort
}

func (d datagrams) ReadFrom(b []byte) (int, netip.AddrPort, netip.AddrPort, error) {
	n, client, err := d.ReadFromUDPAddrPort(b)
	return n, client, d.origin, err
}

func (d datagrams) WriteTo(b []byte, client, _ netip.AddrPort) error {
	_, err := d.WriteToUDPAddrPort(b, client)
	return err
}

// quicFront is front for QUIC.
func quicFront(t *testing.T, way Way, origin netip.AddrPort) string {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		err := ServeQUIC(ctx, datagrams{c, origin}, way, func(_, queried netip.AddrPort) exchange.Origin {
			return exchange.Origin{Addr: queried}
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); c.Close(); serving.Wait() })
	return c.LocalAddr().String()
}

// http3Origin serves h over HTTP/3, and returns its address.
func http3Origin(t *testing.T, a *authority, h http.Handler) netip.AddrPort {
	t.Helper()
	l := quicListener(t, a)
	s := &quichttp.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept(t.Context())
			if err != nil {
				return
			}
			serving.Go(func() { s.ServeQUICConn(c) })
		}
	})
	t.Cleanup(func() { s.Close(); l.Close(); serving.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// quicListener is an origin's, for h3.
func quicListener(t *testing.T, a *authority) *quic.Listener {
	t.Helper()
	cert, err := a.leaf(apiName, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket}
	t.Cleanup(func() { transport.Close(); socket.Close() })
	l, err := transport.Listen(&tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h3"}}, quicConfig())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// byQUIC is a client of HTTP/3 whose connections all go to addr.
func byQUIC(t *testing.T, addr string, trusts *authority) *http.Client {
	t.Helper()
	rt := &quichttp.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusts.pool},
		Dial: func(ctx context.Context, _ string, tc *tls.Config, _ *quic.Config) (*quic.Conn, error) {
			o, err := openQUIC(ctx, nil, netip.MustParseAddrPort(addr), tc)
			if err != nil {
				return nil, err
			}
			t.Cleanup(o.release)
			return o.Conn, nil
		},
	}
	t.Cleanup(func() { rt.Close() })
	return &http.Client{Transport: rt}
}

// dialQUIC is a client's connection to addr that speaks protocols.
func dialQUIC(t *testing.T, addr string, trusts *authority, protocols ...string) (*quic.Conn, error) {
	t.Helper()
	o, err := openQUIC(t.Context(), nil, netip.MustParseAddrPort(addr), &tls.Config{RootCAs: trusts.pool, ServerName: apiName, NextProtos: protocols})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { o.CloseWithError(http3.NoError, ""); o.release() })
	return o.Conn, nil
}

func TestQUICRecord(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	origin := http3Origin(t, theirs, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
	}))
	w, l := newWatcher(), new(told)
	r := &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: theirs.pool}, Watcher: w, Tell: l.tell()}
	client := byQUIC(t, quicFront(t, r, origin), ours)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	res, err := client.Post("https://"+apiName+"/echo", "text/plain", bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v; trouble %v", err, l.all())
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(got, body) || res.Trailer.Get("X-Sum") != fmt.Sprint(len(body)) {
		t.Errorf("%d bytes, trailers %v, %v; want %d", len(got), res.Trailer, err, len(body))
	}
	heads, request, answer := w.seen()
	if d := cmp.Diff([]string{"POST /echo", "3 2xx"}, heads); d != "" || request != string(body) || answer != string(body) {
		t.Errorf("watched %d and %d bytes, heads (-want +got):\n%s", len(request), len(answer), d)
	}
	if len(l.all()) > 0 {
		t.Errorf("trouble %v; want none", l.all())
	}
}

// TestQUICStreams is what HTTP/3 needs of a relay beside bytes: numbers of
// streams, resets and wishes for them, datagrams, how a connection is closed.
func TestQUICStreams(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	l := quicListener(t, theirs)
	defer l.Close()
	tells := new(told)
	r := &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: theirs.pool}, Watcher: newWatcher(), Tell: tells.tell()}
	c, err := dialQUIC(t, quicFront(t, r, netip.MustParseAddrPort(l.Addr().String())), ours, "h3")
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for want := range 3 {
		out, err := c.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(out, "\x21\x05hello") // a frame that nobody knows
		in, err := s.AcceptStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 7)
		if _, err := io.ReadFull(in, b); err != nil || int64(in.StreamID()) != int64(want*4) {
			t.Errorf("stream %d, %q, %v; want %d", in.StreamID(), b, err, want*4)
		}
		in.CancelRead(0x77)
		out.CancelRead(0x78)
		<-out.Context().Done()
		<-in.Context().Done()
		for side, want := range map[*quic.Stream]quic.StreamErrorCode{out: 0x77, in: 0x78} {
			var stopped *quic.StreamError
			if !errors.As(context.Cause(side.Context()), &stopped) || stopped.ErrorCode != want {
				t.Errorf("stopped with %v; want %#x", context.Cause(side.Context()), want)
			}
		}
	}
	if err := c.SendDatagram([]byte("datagram")); err != nil {
		t.Fatal(err)
	}
	if b, err := s.ReceiveDatagram(t.Context()); string(b) != "datagram" || err != nil {
		t.Errorf("%q, %v; want the datagram", b, err)
	}
	open, err := s.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(open, "\x40\x41\x00of a session")
	if in, err := c.AcceptStream(t.Context()); err != nil || in.StreamID() != 1 {
		t.Errorf("the server's stream: %v; want number 1", err)
	}
	c.CloseWithError(0x10b, "enough")
	<-s.Context().Done()
	var closed *quic.ApplicationError
	if !errors.As(context.Cause(s.Context()), &closed) || closed.ErrorCode != 0x10b || closed.ErrorMessage != "enough" {
		t.Errorf("closed with %v; want 0x10b, enough", context.Cause(s.Context()))
	}
	if got := tells.causes(); !slices.Equal(got, []Cause{Opaque}) {
		t.Errorf("trouble %v; want that WebTransport is not recorded", tells.all())
	}
}

// TestQUICRefused are handshakes that come to nothing.
func TestQUICRefused(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	origin := http3Origin(t, theirs, http.NotFoundHandler())
	untrusted := newAuthority(t)
	for _, c := range []struct {
		name     string
		upstream *Upstream
		trusts   *authority
		alpn     string
		bypass   bool
		want     []Cause
	}{
		{"a client that does not trust us", &Upstream{Roots: theirs.pool}, untrusted, "h3", false, []Cause{Rejected}},
		{"an origin that we do not trust", &Upstream{Roots: untrusted.pool}, ours, "h3", false, nil},
		{"what passes unseen", &Upstream{Roots: theirs.pool}, ours, "h3", true, nil},
		{"what is not HTTP/3", &Upstream{Roots: theirs.pool}, ours, "doq", false, []Cause{Opaque}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := new(told)
			done := make(chan bool, 1)
			tell := l.tell()
			trouble := tell.Trouble
			tell.Trouble = func(tr Trouble) { trouble(tr); done <- true }
			r := &Record{Server: NewServer(ours.leaf, false), Upstream: c.upstream, Tell: tell}
			way := &Bypass{Match: func(exchange.Origin) bool { return c.bypass }, Tell: tell, Else: r}
			conn, err := dialQUIC(t, quicFront(t, way, origin), c.trusts, c.alpn)
			if err == nil {
				t.Fatalf("connected to %v", conn.RemoteAddr())
			}
			if len(c.want) > 0 {
				<-done
			}
			if got := l.causes(); !slices.Equal(got, c.want) {
				t.Errorf("%v; trouble %v; want %v", err, l.all(), c.want)
			}
		})
	}
}

func TestQUICReplay(t *testing.T) {
	ours := newAuthority(t)
	l := new(told)
	r := &Replay{Server: NewServer(ours.leaf, false), Player: &player{body: "hello", offer: exchange.Offer{Recorded: true}}, Tell: l.tell()}
	client := byQUIC(t, quicFront(t, r, netip.MustParseAddrPort("203.0.113.7:443")), ours)
	res, err := client.Get("https://" + apiName + "/known")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); string(b) != "hello" || err != nil || res.Proto != "HTTP/3.0" {
		t.Errorf("%s %q, %v; want hello over HTTP/3", res.Proto, b, err)
	}
	res, err = client.Get("https://" + apiName + "/unknown")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 501 || !strings.HasPrefix(string(b), "serge-net: ") || l.missed() != 1 {
		t.Errorf("%d %q, %d misses; want 501, our words, 1", res.StatusCode, b, l.missed())
	}
}

// TestQUICMixed has what misses go on by HTTP/2, and a host that is not recorded
// by QUIC.
func TestQUICMixed(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	say := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	tcp := httptest.NewUnstartedServer(say)
	tcp.EnableHTTP2 = true
	secured(t, theirs, tcp, apiName)
	for _, c := range []struct {
		name   string
		player *player
		origin netip.AddrPort
		want   string
	}{
		{"a miss", &player{offer: exchange.Offer{Recorded: true}}, netip.MustParseAddrPort(tcp.Listener.Addr().String()), "HTTP/2.0"},
		{"a host that is not recorded", &player{}, http3Origin(t, theirs, say), "HTTP/3.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, l := newWatcher(), new(told)
			m := &Mixed{Record: Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: theirs.pool}, Watcher: w, Tell: l.tell()}, Player: c.player}
			res, err := byQUIC(t, quicFront(t, m, c.origin), ours).Get("https://" + apiName + "/new")
			if err != nil {
				t.Fatalf("%v; trouble %v", err, l.all())
			}
			if b, err := io.ReadAll(res.Body); string(b) != c.want || err != nil {
				t.Errorf("%q, %v; want %q", b, err, c.want)
			}
			if heads, _, _ := w.seen(); len(heads) != 2 {
				t.Errorf("watched %v; want one exchange", heads)
			}
		})
	}
}
