package mitm

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSniff(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Protocol
	}{
		{"nothing", "", Undecided},
		{"half a TLS record", "\x16\x03", Undecided},
		{"a ClientHello", "\x16\x03\x01\x02\x00\x01", ProtoTLS},
		{"an SSL 2 hello", "\x80\x2e\x01\x00\x02", ProtoOpaque},
		{"a TLS alert", "\x15\x03\x01\x00\x02\x01", ProtoOpaque},
		{"a record that is no hello", "\x16\x03\x01\x02\x00\x02", ProtoOpaque},
		{"half a method", "GE", Undecided},
		{"a request line", "GET / HTTP/1.1\r\n", ProtoHTTP1},
		{"a method of nobody's", "FROB /x HTTP/1.1\r\n", ProtoHTTP1},
		{"half a preface", "PRI * HT", Undecided},
		{"a preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ProtoHTTP2},
		{"redis", "*1\r\n$4\r\nPING\r\n", ProtoOpaque},
		{"ssh", "SSH-2.0-OpenSSH_9.2\r\n", ProtoOpaque},
		{"postgres", "\x00\x00\x00\x08\x04\xd2\x16\x2f", ProtoOpaque},
	} {
		if got := Sniff([]byte(c.in)); got != c.want {
			t.Errorf("%s: Sniff(%q) = %v; want %v", c.name, c.in, got, c.want)
		}
	}
}

// FuzzSniff: what is decided stays decided when more bytes come.
func FuzzSniff(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "EHLO x\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		decided := Undecided
		for n := range len(b) + 1 {
			p := Sniff(b[:n])
			if decided != Undecided && p != decided {
				t.Fatalf("Sniff(%q) = %v, but of its first %d bytes %v", b, decided, n, p)
			}
			decided = p
		}
	})
}

func TestSniffBothSides(t *testing.T) {
	for _, c := range []struct {
		name           string
		client, server string
		want           Protocol
	}{
		{"the client speaks", "GET / HTTP/1.1\r\n\r\n", "", ProtoHTTP1},
		{"the server speaks first", "", "220 hello\r\n", ProtoOpaque},
		{"the server sends its settings first", "", "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x01", ProtoHTTP2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cNear, cFar := net.Pipe()
			sNear, sFar := net.Pipe()
			defer closeAll(cNear, cFar, sNear, sFar)
			go cFar.Write([]byte(c.client))
			if c.server != "" {
				go sFar.Write([]byte(c.server))
			}
			client, server := peek(cNear), peek(sNear)
			got, err := sniff(client, server)
			if got != c.want || err != nil {
				t.Fatalf("sniff = %v, %v; want %v", got, err, c.want)
			}
			for _, side := range []struct {
				conn *peeked
				sent string
			}{{client, c.client}, {server, c.server}} {
				b := make([]byte, len(side.sent))
				if _, err := io.ReadFull(side.conn, b); err != nil || !bytes.Equal(b, []byte(side.sent)) {
					t.Errorf("read after sniff = %q, %v; want %q", b, err, side.sent)
				}
			}
		})
	}
}

func TestSniffGone(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	if _, err := sniff(peek(near), nil); !errors.Is(err, io.EOF) {
		t.Errorf("sniff of a client that left = %v; want %v", err, io.EOF)
	}
}

func closeAll(conns ...net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}
