package mitm

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// A readConn is a connection that is only read.
type readConn struct {
	net.Conn
	io.Reader
}

// Read reads.
func (c readConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func TestPlainAlert(t *testing.T) {
	const hello = "\x16\x03\x01\x00\x03abc"
	for _, c := range []struct {
		bytes string
		want  tls.AlertError
		told  bool // to be a rejection
	}{
		{hello + "\x15\x03\x03\x00\x02\x02\x30", alertUnknownCA, true},
		{hello + "\x15\x03\x01\x00\x02\x02\x2a", alertBadCertificate, true},
		{hello + "\x15\x03\x03\x00\x02\x02\x28", 40, false}, // handshake_failure
		{"\x15\x03\x03\x00\x02\x01\x2e", alertCertificateUnknown, true},
		{hello + "\x15\x03\x03\x00\x13\x02\x30", 0, false}, // encrypted: its length
		{hello + "\x17\x03\x03\x00\x02\x02\x30", 0, false},
		{"\x02\x30", 0, false},
		{"", 0, false},
	} {
		for _, ahead := range []int{0, len(c.bytes) / 2, len(c.bytes)} {
			rest := func() io.Reader { return strings.NewReader(c.bytes[ahead:]) }
			for _, r := range []io.Reader{rest(), iotest.OneByteReader(rest())} {
				p := &peeked{Conn: readConn{Reader: r}, ahead: []byte(c.bytes[:ahead])}
				if _, err := io.Copy(io.Discard, p); err != nil {
					t.Fatal(err)
				}
				got, ok := p.plainAlert()
				if got != c.want || ok != (c.want != 0) {
					t.Errorf("plainAlert() after %q = %v, %v; want %v", c.bytes, got, ok, c.want)
				}
				if told := ok && rejected(fmt.Errorf("remote error: %w", got)); told != c.told {
					t.Errorf("rejected(%v) = %v; want %v", got, told, c.told)
				}
			}
		}
	}
}
