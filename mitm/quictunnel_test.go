package mitm

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
	quichttp "github.com/quic-go/quic-go/http3"

	"github.com/serge-net/serge-net/exchange"
)

// TestQUICTunnelReplay answers who asks for a tunnel at once, though none is offered.
func TestQUICTunnelReplay(t *testing.T) {
	ours, l := newAuthority(t), new(told)
	tell := l.tell()
	misses := make(chan *exchange.Miss, 2)
	tell.Miss = func(m *exchange.Miss) { misses <- m }
	r := &Replay{Server: NewServer(ours.leaf, false), Player: &player{offer: exchange.Offer{Recorded: true}}, Tell: tell}
	conn, err := dialQUIC(t, quicFront(t, r, netip.MustParseAddrPort("203.0.113.7:443")), ours, "h3")
	if err != nil {
		t.Fatal(err)
	}
	client := new(quichttp.Transport).NewClientConn(conn)
	<-client.ReceivedSettings()
	if s := client.Settings(); s.EnableExtendedConnect || s.EnableDatagrams || len(s.Other) > 0 {
		t.Errorf("settings %+v; want no offer", s)
	}
	stream, err := client.OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "https", Host: apiName, Path: "/chat"}
	req := &http.Request{Method: http.MethodConnect, Proto: "websocket", URL: u, Host: apiName, Header: http.Header{}}
	if err := stream.SendRequestHeader(req.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	res, err := stream.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusNotImplemented || !strings.Contains(string(b), "WebSocket over HTTP/3") || err != nil {
		t.Errorf("%d %q, %v; want 501, and why", res.StatusCode, b, err)
	}
	if m := <-misses; len(misses) > 0 || m.Method != http.MethodConnect || m.URL != "https://"+apiName+"/chat" {
		t.Errorf("miss %+v, and %d more; want the tunnel's", m, len(misses))
	}
}

// TestQUICOffer records an origin that offers tunnels: the client does not see that,
// unless it is for WebTransport; datagrams stay offered.
func TestQUICOffer(t *testing.T) {
	const webTransport = 0x2c7cf000
	for _, c := range []struct {
		name   string
		others map[uint64]uint64
		want   bool
	}{{"WebSocket", map[uint64]uint64{0x1234: 1}, false}, {"WebTransport", map[uint64]uint64{webTransport: 1}, true}} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := newAuthority(t), newAuthority(t)
			l := quicListener(t, theirs)
			s := &quichttp.Server{Handler: http.NotFoundHandler(), EnableDatagrams: true, AdditionalSettings: c.others}
			var serving sync.WaitGroup
			serving.Go(func() {
				if conn, err := l.Accept(t.Context()); err == nil {
					s.ServeQUICConn(conn)
				}
			})
			t.Cleanup(func() { s.Close(); l.Close(); serving.Wait() })
			r := &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: theirs.pool}, Watcher: newWatcher()}
			conn, err := dialQUIC(t, quicFront(t, r, netip.MustParseAddrPort(l.Addr().String())), ours, "h3")
			if err != nil {
				t.Fatal(err)
			}
			client := new(quichttp.Transport).NewClientConn(conn)
			<-client.ReceivedSettings()
			got := client.Settings()
			if got.EnableExtendedConnect != c.want || !got.EnableDatagrams || len(got.Other) != 1 {
				t.Errorf("settings %+v; want tunnels %v, datagrams, and the other", got, c.want)
			}
		})
	}
}

// TestQUICEarly has a client that comes again send its request in 0-RTT: it is
// refused, and sent again.
func TestQUICEarly(t *testing.T) {
	ours := newAuthority(t)
	r := &Replay{Server: NewServer(ours.leaf, false), Player: &player{body: "hello", offer: exchange.Offer{Recorded: true}}}
	addr := quicFront(t, r, netip.MustParseAddrPort("203.0.113.7:443"))
	resumed := &tls.Config{RootCAs: ours.pool, ServerName: apiName, NextProtos: []string{"h3"}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		socket, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := &quic.Transport{Conn: socket}
		t.Cleanup(func() { transport.Close(); socket.Close() })
		var conn *quic.Conn
		rt := &quichttp.Transport{TLSClientConfig: resumed, Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			var err error
			conn, err = transport.DialEarly(ctx, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)), tc, qc)
			return conn, err
		}}
		t.Cleanup(func() { rt.Close() })
		req, err := http.NewRequestWithContext(t.Context(), quichttp.MethodGet0RTT, "https://"+apiName+"/known", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); string(b) != "hello" || err != nil {
			t.Errorf("%q, %v; want hello", b, err)
		}
		if conn.ConnectionState().Used0RTT {
			t.Error("0-RTT was taken")
		}
		rt.Close()
	}
}
