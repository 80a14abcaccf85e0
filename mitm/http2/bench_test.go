package http2

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"

	"golang.org/x/net/http2"
)

// BenchmarkServe is an answer of Serve beside one of net/http, to a client that
// only writes and reads frames, 100 requests at a time.
func BenchmarkServe(b *testing.B) {
	lent := httptest.NewTLSServer(nil)
	defer lent.Close()
	secure := &tls.Config{Certificates: lent.TLS.Certificates, NextProtos: []string{"h2"}}
	for _, s := range []struct {
		name string
		conf *tls.Config
		addr func(testing.TB, *tls.Config) string
	}{
		{"Serve/TLS", secure, func(t testing.TB, conf *tls.Config) string { return played(t, conf, greet) }},
		{"net-http/TLS", secure, standard},
		{"Serve/h2c", nil, func(t testing.TB, conf *tls.Config) string { return played(t, conf, greet) }},
		{"net-http/h2c", nil, standard},
	} {
		b.Run(s.name, func(b *testing.B) {
			conn, err := net.Dial("tcp", s.addr(b, s.conf))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			if s.conf != nil {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			}
			c := newWire(Preface)
			c.WriteWindowUpdate(0, 1<<30)
			in := http2.NewFramer(nil, conn)
			in.SetReuseFrames()
			id := uint32(1)
			for n := 0; n < b.N; n += 100 {
				for range min(100, b.N-n) {
					c.headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
					id += 2
				}
				if _, err := conn.Write(c.Bytes()); err != nil {
					b.Fatal(err)
				}
				c.Reset()
				for left := min(100, b.N-n); left > 0; {
					f, err := in.ReadFrame()
					if err != nil {
						b.Fatal(err)
					}
					if f.Header().Flags.Has(http2.FlagDataEndStream) && f.Header().Type == http2.FrameData {
						left--
					}
				}
			}
		})
	}
}
