package foreign

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// What of pcapng is written, in this machine's byte order, which the file says:
// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html, section 4.
// Times are in microseconds, as they are if nothing is said.
const (
	ngSection   = 0x0a0d0d0a
	ngInterface = 1
	ngPacket    = 6
	ngMagic     = 0x1a2b3c4d
	linkEther   = 1 // LINKTYPE_ETHERNET
)

// startCapture writes what comes before the packets: a section of any length, and
// an interface without a limit.
func startCapture(w io.Writer) error {
	b := binary.NativeEndian.AppendUint32(nil, ngMagic)
	b = binary.NativeEndian.AppendUint16(b, 1) // version 1.0
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint64(b, ^uint64(0))
	if err := writeBlock(w, ngSection, b); err != nil {
		return err
	}
	return writeBlock(w, ngInterface, append(binary.NativeEndian.AppendUint16(nil, linkEther), make([]byte, 6)...))
}

// writeFrame writes a packet that was seen at at.
func writeFrame(w io.Writer, at time.Time, frame []byte) error {
	micros := uint64(at.UnixMicro())
	b := make([]byte, 4, 20+len(frame)+3) // of the first interface
	for _, v := range []uint32{uint32(micros >> 32), uint32(micros), uint32(len(frame)), uint32(len(frame))} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	b = append(b, frame...)
	return writeBlock(w, ngPacket, append(b, make([]byte, -len(frame)&3)...))
}

// writeBlock writes a block of a kind, with its length before and behind its body.
func writeBlock(w io.Writer, kind uint32, body []byte) error {
	size := uint32(12 + len(body))
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, size), kind)
	b = binary.NativeEndian.AppendUint32(b, size)
	b = append(b, body...)
	_, err := w.Write(binary.NativeEndian.AppendUint32(b, size))
	return err
}

// TCP's flags, RFC 9293, section 3.1.
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// A segment is one of TCP over IPv4.
type segment struct {
	from, to         netip.AddrPort
	sequence, answer uint32
	flags            byte
	payload          []byte
}

// frame is s in IPv4 in Ethernet, between the two stations first and second.
func (s segment) frame(first, second byte) []byte {
	const etherHeader, ipHeader, tcpHeader = 14, 20, 20
	b := make([]byte, etherHeader+ipHeader+tcpHeader, etherHeader+ipHeader+tcpHeader+len(s.payload))
	b[0], b[5], b[6], b[11] = 2, second, 2, first // administered by us: IEEE 802, U/L
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	ip, tcp := b[etherHeader:][:ipHeader], b[etherHeader+ipHeader:]
	ip[0], ip[8], ip[9] = 4<<4|ipHeader/4, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(ipHeader+tcpHeader+len(s.payload)))
	copy(ip[12:], s.from.Addr().AsSlice())
	copy(ip[16:], s.to.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	binary.BigEndian.PutUint16(tcp, s.from.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.to.Port())
	binary.BigEndian.PutUint32(tcp[4:], s.sequence)
	binary.BigEndian.PutUint32(tcp[8:], s.answer)
	tcp[12], tcp[13] = tcpHeader/4<<4, s.flags
	binary.BigEndian.PutUint16(tcp[14:], 65535) // the window
	pseudo := binary.BigEndian.AppendUint16([]byte{0, 6}, uint16(tcpHeader+len(s.payload)))
	binary.BigEndian.PutUint16(tcp[16:], checksum(ip[12:20], pseudo, tcp, s.payload))
	return append(b, s.payload...)
}

// checksum is that of RFC 1071 over parts, of which only the last may be odd.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, p := range parts {
		for i := 0; i+1 < len(p); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(p[i:]))
		}
		if len(p)%2 == 1 {
			sum += uint32(p[len(p)-1]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
