package http3

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go"

	"github.com/serge-net/serge-net/exchange"
)

// ends are the two of a QUIC connection over loopback.
func ends(t *testing.T) (client, server *quic.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var transports [2]*quic.Transport
	for i := range transports {
		socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		transports[i] = &quic.Transport{Conn: socket}
		t.Cleanup(func() { transports[i].Close(); socket.Close() })
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	config := &quic.Config{EnableStreamResetPartialDelivery: true}
	l, err := transports[0].Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{ALPN}}, config)
	if err != nil {
		t.Fatal(err)
	}
	trusting := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ALPN}} // its own certificate, of a moment ago
	if client, err = transports[1].Dial(t.Context(), l.Addr(), trusting, config); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// served is a client of Serve with play.
func served(t *testing.T, play Play) *quic.Conn {
	t.Helper()
	client, server := ends(t)
	var serving sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	serving.Go(func() { Serve(ctx, server, play) })
	t.Cleanup(func() { cancel(); serving.Wait() })
	return client
}

// answers are a Play's that answers each request by its target.
func answers(to map[string][]exchange.Event) Play {
	var mu sync.Mutex
	targets := map[uint64]string{}
	return func(e exchange.Event, answer func(exchange.Event) error) error {
		mu.Lock()
		defer mu.Unlock()
		switch e.Kind {
		case exchange.KindHead:
			targets[e.Stream] = e.Head.Target
		case exchange.KindEnd:
			for _, a := range to[targets[e.Stream]] {
				if err := answer(a); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// head, data and end are events of an answer.
func head(status int, fields ...string) exchange.Event {
	return exchange.Event{Kind: exchange.KindHead, Head: &exchange.Head{Status: status, Fields: pairs(fields...)}}
}

func data(s string) exchange.Event {
	return exchange.Event{Kind: exchange.KindData, Data: []byte(s)}
}

func end(e exchange.End) exchange.Event { return exchange.Event{Kind: exchange.KindEnd, End: &e} }

// exchanged is what a client sees that sends b on a stream of its own.
func exchanged(t *testing.T, c *quic.Conn, b ...[]byte) []string {
	t.Helper()
	s, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Write(slices.Concat(b...)) // it may be refused before it is whole
	s.Close()
	w := newTalk()
	h := half{from: exchange.Server, table: new(table)}
	got, err := io.ReadAll(s)
	if fed := h.feed(got, out{0, w.emit}); fed != nil {
		t.Fatal(fed)
	}
	var reset *quic.StreamError
	if errors.As(err, &reset) {
		w.got = append(w.got, fmt.Sprintf("reset %#x", uint64(reset.ErrorCode)))
	} else if err != nil {
		t.Fatal(err)
	}
	return joined(w.got)
}

func TestServe(t *testing.T) {
	c := served(t, answers(map[string][]exchange.Event{
		"/order": {head(103, "Link", "x"), head(200, "X-B", "1", "Connection", "close", "X-A", "2", "x-b", "3"), data("bo"), data("dy"),
			{Kind: exchange.KindTrailers, Fields: pairs("Sum", "4")}, end(exchange.End{})},
		"/cut":      {head(200), data("half"), end(exchange.End{How: exchange.Reset, Code: requestCancelled})},
		"/cut2":     {head(200), end(exchange.End{How: exchange.Reset, Code: 8})},
		"/short":    {head(200), data("half"), end(exchange.End{How: exchange.Truncated})},
		"/paused":   {head(200), {Kind: exchange.KindData, Data: []byte("late"), Pause: 20 * time.Millisecond}, end(exchange.End{})},
		"/headless": {end(exchange.End{})},
		"/silent":   {},
		"/left":     {head(200), end(exchange.End{How: exchange.Left, Wait: time.Nanosecond})},
	}))
	ask := func(method, path string) []byte {
		return headers(":method", method, ":scheme", "https", ":authority", "a", ":path", path)
	}
	for _, tt := range []struct {
		name string
		send [][]byte
		want []string
	}{
		{"order", [][]byte{ask("GET", "/order")}, []string{"s0 103 [link=x]", "s0 200 [x-b=1] [x-a=2] [x-b=3]", "s0 data body", "s0 trailers [{sum 4}]"}},
		{"HEAD", [][]byte{ask("HEAD", "/order")}, []string{"s0 103 [link=x]", "s0 200 [x-b=1] [x-a=2] [x-b=3]"}},
		{"a body", [][]byte{ask("POST", "/order"), frame(0x21, 'x'), frame(frameData, 'x')}, []string{"s0 103 [link=x]", "s0 200 [x-b=1] [x-a=2] [x-b=3]", "s0 data body", "s0 trailers [{sum 4}]"}},
		{"a reset", [][]byte{ask("GET", "/cut")}, []string{"s0 200", "s0 data half", "reset 0x10c"}},
		{"a reset of HTTP/2", [][]byte{ask("GET", "/cut2")}, []string{"s0 200", "reset 0x10c"}},
		{"cut short", [][]byte{ask("GET", "/short")}, []string{"s0 200", "s0 data half", "reset 0x102"}},
		{"a pause", [][]byte{ask("GET", "/paused")}, []string{"s0 200", "s0 data late"}},
		{"no head", [][]byte{ask("GET", "/headless")}, []string{"reset 0x102"}},
		{"no answer", [][]byte{ask("GET", "/silent")}, []string{"reset 0x102"}},
		{"a client that did not wait", [][]byte{ask("GET", "/left")}, []string{"s0 200", "reset 0x102"}},
		{"no request", [][]byte{frame(frameData, 'x')}, []string{"reset 0x10e"}},
		{"a table that was not offered", [][]byte{frame(frameHeaders, 3, 0, 0x80)}, []string{"reset 0x10e"}},
		{"WebTransport", [][]byte{{0x40, signalStream, 0}}, []string{"reset 0x103"}},
	} {
		if got := exchanged(t, c, tt.send...); !cmp.Equal(tt.want, got) {
			t.Errorf("%s (-want +got):\n%s", tt.name, cmp.Diff(tt.want, got))
		}
	}
}

// TestServeSlowReader: what a client does not read is not held.
func TestServeSlowReader(t *testing.T) {
	var sent int
	done := make(chan error)
	c := served(t, func(e exchange.Event, answer func(exchange.Event) error) error {
		if e.Kind != exchange.KindEnd {
			return nil
		}
		err := answer(head(200))
		for piece := strings.Repeat("x", 64<<10); err == nil && sent < 1<<30; sent += len(piece) {
			err = answer(data(piece))
		}
		done <- err
		return err
	})
	s, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Write(get())
	s.Close()
	if _, err := io.ReadFull(s, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	s.CancelRead(requestCancelled)
	if err := <-done; !errors.Is(err, errGone) || sent > 32<<20 {
		t.Errorf("%d bytes sent, %v; want little more than was read, and %v", sent, err, errGone)
	}
}
