package testnet

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// startUDP serves the ports of UDP that are neither DNS nor QUIC, and port 443 of
// H3, where a hit is a QUIC packet that nobody refused.
func (r *rack) startUDP() error {
	echo := func(b []byte) []byte { return b }
	nothing := func([]byte) []byte { return nil }
	for _, p := range []struct {
		host   string
		port   uint16
		answer func([]byte) []byte
	}{{TCP, 7, echo}, {TCP, 123, tellTime}, {TCP, 514, nothing}, {TCP, 8125, nothing}, {H3, 443, echo}} {
		h := Lookup(p.host)
		key := fmt.Sprintf("%s:%d/udp", h.Name, p.port)
		for _, a := range h.Addrs() {
			pc, err := r.packets(h, a, p.port)
			if err != nil {
				return err
			}
			r.running.Go(func() { r.answerPackets(pc, key, p.answer) })
		}
	}
	return nil
}

// answerPackets answers each datagram until pc is closed. An empty answer is none.
func (r *rack) answerPackets(pc net.PacketConn, key string, answer func([]byte) []byte) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		r.hits.add(key)
		if a := answer(buf[:n]); len(a) > 0 {
			_, _ = pc.WriteTo(a, from) // lost, as datagrams may be
		}
	}
}

// tellTime answers an SNTP client (RFC 4330, section 4) as a server of stratum 1.
func tellTime(question []byte) []byte {
	const size, since1900 = 48, 2208988800
	if len(question) < size {
		return nil
	}
	a := make([]byte, size)
	a[0], a[1] = 4<<3|4, 1          // version 4, server
	copy(a[24:32], question[40:48]) // when the client sent it, as it says
	now := time.Now()
	for _, at := range []int{32, 40} {
		binary.BigEndian.PutUint32(a[at:], uint32(now.Unix()+since1900))
		binary.BigEndian.PutUint32(a[at+4:], uint32(uint64(now.Nanosecond())<<32/1e9))
	}
	return a
}
