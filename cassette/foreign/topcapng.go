package foreign

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// segmentSize is how many bytes of payload a made-up packet has.
const segmentSize = 1400

// writePcapng writes each interaction as a TCP connection of its own that was
// never on a wire: decrypted, in HTTP/1.1, from 198.18.0.1 to an address made of
// the host's name. The port is 80 for what was TLS, so that readers decode it.
func writePcapng(w io.Writer, x *export) error {
	if err := startCapture(w); err != nil {
		return err
	}
	x.raw = true
	return x.each(func(n int, i *cassette.Interaction) error {
		c := newConversation(w, n, i.Connection, x.c.RecordedAt.Add(i.Timing.Start))
		if err := x.converse(c, i); err != nil {
			return err
		}
		return c.err
	})
}

// converse puts i on c.
func (x *export) converse(c *conversation, i *cassette.Interaction) error {
	body, err := x.bytes(i, i.Request.Body)
	if err != nil {
		return err
	}
	c.open()
	if i.Converses() {
		return x.passed(c, i)
	}
	c.say(exchange.Client, fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", i.Request.Method, targetOf(i)), head(i.Request.Fields, hostOf(i), len(body)), body)
	c.now = c.now.Add(i.Timing.Wait)
	r := i.Response
	if r == nil {
		c.flags(exchange.Server, flagRST)
		return nil
	}
	answer, err := x.bytes(i, r.Body)
	if err != nil {
		return err
	}
	reason := r.Reason
	if reason == "" {
		reason = http.StatusText(r.Status)
	}
	size := len(answer)
	if i.Request.Method == "HEAD" || r.Status < 200 || r.Status == 204 || r.Status == 304 {
		size = -1
	}
	c.say(exchange.Server, fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", r.Status, reason), head(r.Fields, "", size), answer)
	if len(r.Trailers) > 0 || len(r.Informational) > 0 {
		x.note(i, "trailers and 1xx answers are not carried")
	}
	if i.WebSocket != nil {
		x.note(i, "WebSocket messages are not carried")
	}
	return x.passed(c, i)
}

// passed puts what was said on an upgraded stream on c, and the end.
func (x *export) passed(c *conversation, i *cassette.Interaction) error {
	for _, m := range i.Upgraded {
		b, err := x.bytes(i, m.Body)
		if err != nil {
			return err
		}
		c.say(m.From, b)
	}
	c.now = c.now.Add(i.Timing.Receive)
	c.flags(exchange.Server, flagFIN|flagACK)
	c.flags(exchange.Client, flagFIN|flagACK)
	return nil
}

// head is fields as HTTP/1.1 with the framing of a body of size bytes; -1 leaves
// what they say. A request without a Host gets it.
func head(fields []exchange.Field, host string, size int) []byte {
	var b bytes.Buffer
	if _, ok := exchange.Get(fields, "host"); !ok && host != "" {
		fmt.Fprintf(&b, "Host: %s\r\n", host)
	}
	if size >= 0 {
		fields = without(without(fields, "transfer-encoding"), "content-length")
	}
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, shown(f.Value))
	}
	if size > 0 || size == 0 && host == "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", size)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// A conversation is one TCP connection that is made up.
type conversation struct {
	to       io.Writer
	now      time.Time
	sides    [2]netip.AddrPort
	sequence [2]uint32
	err      error // the first; nothing follows it
}

// newConversation is the nth connection, to c.
func newConversation(to io.Writer, n int, c cassette.Connection, at time.Time) *conversation {
	port := c.Port
	if c.Scheme == "https" || port == 0 {
		port = 80
	}
	server, err := netip.ParseAddr(c.Host)
	if err != nil || !server.Is4() {
		h := fnv.New32a()
		h.Write([]byte(c.Host))
		sum := binary.BigEndian.AppendUint32(nil, h.Sum32())
		server = netip.AddrFrom4([4]byte{198, 19, sum[0], sum[1]})
	}
	client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 0, 1}), uint16(10000+n%50000))
	return &conversation{to: to, now: at, sides: [2]netip.AddrPort{client, netip.AddrPortFrom(server, uint16(port))}, sequence: [2]uint32{1000, 2000}}
}

// open is the handshake.
func (c *conversation) open() {
	c.flags(exchange.Client, flagSYN)
	c.flags(exchange.Server, flagSYN|flagACK)
	c.flags(exchange.Client, flagACK)
}

// say sends parts from one side.
func (c *conversation) say(from exchange.Side, parts ...[]byte) {
	for all := bytes.Join(parts, nil); len(all) > 0; {
		n := min(len(all), segmentSize)
		c.packet(from, flagPSH|flagACK, all[:n])
		all = all[n:]
	}
}

// flags sends a segment without payload.
func (c *conversation) flags(from exchange.Side, flags byte) { c.packet(from, flags, nil) }

// packet writes one segment.
func (c *conversation) packet(from exchange.Side, flags byte, payload []byte) {
	if c.err != nil {
		return
	}
	to := 1 - from
	s := segment{from: c.sides[from], to: c.sides[to], sequence: c.sequence[from], flags: flags, payload: payload}
	if flags&flagACK != 0 {
		s.answer = c.sequence[to]
	}
	c.sequence[from] += uint32(len(payload))
	if flags&(flagSYN|flagFIN) != 0 {
		c.sequence[from]++
	}
	c.err = writeFrame(c.to, c.now, s.frame(byte(from)+1, byte(to)+1))
	c.now = c.now.Add(time.Microsecond)
}
