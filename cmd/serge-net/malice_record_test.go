package main

import (
	"io"
	"net"
	"testing"
)

// maliceMost is how many bytes of memory an abuse may cost beside what it is:
// windows of compression, tables, buffers.
const maliceMost = 16 << 20

// TestRecordAbuse has a client and an origin say what they may not: while it is
// recorded it passes as it is, both ways, at bounded memory, and others are
// served meanwhile.
func TestRecordAbuse(t *testing.T) {
	s := newStage(t)
	way, end := s.record("abuse")
	well := s.divert(way, s.good)
	for _, a := range abuses() {
		t.Run(a.name, func(t *testing.T) {
			heard := make(chan string, 1)
			addr := s.divert(way, s.listen(func(c net.Conn) {
				defer c.Close()
				b := make([]byte, len(a.client))
				n, _ := io.ReadFull(c, b)
				heard <- string(b[:n])
				io.WriteString(c, a.origin)
			}))
			before := held()
			c := s.dial(addr)
			defer c.Close()
			if _, err := io.WriteString(c, a.client); err != nil {
				t.Errorf("the client's write: %v", err)
			}
			if <-heard != a.client {
				t.Errorf("the origin does not get what the client said")
			}
			s.served(t, well)
			if b, err := io.ReadAll(c); string(b) != a.origin || err != nil {
				t.Errorf("the client gets %d bytes, %v; want what the origin said, %d", len(b), err, len(a.origin))
			}
			if more := held() - before; more > maliceMost {
				t.Errorf("%s cost %d KiB", a.said(), more>>10)
			}
		})
	}
	end()
}
