package mitm

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

const (
	// turnMost is how far into a connection its sides may agree to go on inside TLS, in
	// bytes of both. Protocols do so before anything else is said.
	turnMost = 64 << 10
	// heldMost is how much is kept of what a side said last: longer than any line
	// (RFC 5321 section 4.5.3.1.5 has 512 bytes).
	heldMost = 4 << 10
)

// A turn hears both sides of a connection in the clear, and tells where they turn to
// TLS: behind STARTTLS and its like, which each protocol has in words of its own.
type turn struct {
	said  [2][]byte // by side: what it said last, or the end of that
	cut   [2]bool   // by side: there was more before
	last  exchange.Side
	begun bool  // somebody has spoken
	heard int64 // bytes of both
	over  bool  // they turned, or will not
}

// hear takes the next bytes b of from, and tells how many of them are in the clear:
// those behind are TLS.
func (t *turn) hear(from exchange.Side, b []byte) int {
	if t.over || len(b) == 0 {
		return len(b)
	}
	if t.heard += int64(len(b)); t.heard > turnMost {
		t.over, t.said = true, [2][]byte{}
		return len(b)
	}
	fresh := !t.begun || t.last != from
	if from == exchange.Client && b[0] == recordHandshake && (fresh && t.agreed() || t.asksMySQL()) {
		t.over = true
		return 0
	}
	if fresh {
		t.said[from], t.cut[from] = nil, false
	}
	before := len(t.said[from])
	t.begun, t.last, t.said[from] = true, from, append(t.said[from], b...)
	if from == exchange.Client && before < mysqlAsks && len(t.said[from]) > mysqlAsks && t.said[from][mysqlAsks] == recordHandshake && t.asksMySQL() {
		t.over = true
		return mysqlAsks - before
	}
	if extra := len(t.said[from]) - heldMost; extra > 0 {
		t.said[from], t.cut[from] = append([]byte(nil), t.said[from][extra:]...), true
	}
	return len(b)
}

// recordHandshake is how a ClientHello begins (RFC 8446 section 5.1).
const recordHandshake = 0x16

// agreed tells whether the client asked for TLS with the last that it said, and the
// server agreed with its answer.
func (t *turn) agreed() bool {
	asked, said := t.said[exchange.Client], t.said[exchange.Server]
	if len(asked) == 0 || len(said) == 0 {
		return false
	}
	return agreedInLines(lastLine(asked), lastLine(said)) ||
		string(asked) == postgresAsks && string(said) == "S" ||
		bytes.Contains(asked, []byte("<starttls")) && bytes.Contains(said, []byte("<proceed")) || // RFC 6120 section 5.4.2
		bytes.Contains(asked, []byte(ldapAsks)) && bytes.Contains(said, []byte(ldapSuccess))
}

// lastLine is the last line of b without its end.
func lastLine(b []byte) []byte {
	b = bytes.TrimRight(b, "\r\n")
	return b[bytes.LastIndexByte(b, '\n')+1:]
}

// agreedInLines is agreed of protocols that talk in lines.
func agreedInLines(asked, said []byte) bool {
	command := string(bytes.ToUpper(bytes.TrimSpace(asked)))
	switch command {
	case "STARTTLS":
		return bytes.HasPrefix(said, []byte("220 ")) || // SMTP, LMTP: RFC 3207 section 4
			bytes.HasPrefix(said, []byte("382 ")) || // NNTP: RFC 4642 section 2.2.2
			bytes.HasPrefix(said, []byte("OK")) || // ManageSieve: RFC 5804 section 2.2
			bytes.Contains(said, []byte(" 670 ")) // IRC
	case "STLS": // POP3: RFC 2595 section 4
		return bytes.HasPrefix(said, []byte("+OK"))
	case "AUTH TLS", "AUTH TLS-C", "AUTH SSL": // FTP: RFC 4217 section 4
		return bytes.HasPrefix(said, []byte("234"))
	}
	tag, verb, ok := bytes.Cut([]byte(command), []byte(" ")) // IMAP: RFC 9051 section 6.2.1
	return ok && string(verb) == "STARTTLS" && bytes.HasPrefix(bytes.ToUpper(said), append(tag, " OK"...))
}

const (
	// postgresAsks is the SSLRequest of PostgreSQL's frontend/backend protocol, section 55.7.
	postgresAsks = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	// ldapAsks is the name of LDAP's StartTLS operation, and ldapSuccess the resultCode
	// of its answer (RFC 4511 section 4.14).
	ldapAsks    = "1.3.6.1.4.1.1466.20037"
	ldapSuccess = "\x0a\x01\x00"
)

const (
	// mysqlAsks is how long the SSLRequest of MySQL's protocol is, in bytes with its header.
	// The server says nothing to it.
	mysqlAsks = 4 + 32
	// The flags of MySQL's capabilities by which it is one.
	mysqlSSL        = 0x0800
	mysqlProtocol41 = 0x0200
)

// asksMySQL tells whether the client answered the greeting of a MySQL server with an
// SSLRequest, which may have TLS behind it.
func (t *turn) asksMySQL() bool {
	greeting, asked := t.said[exchange.Server], t.said[exchange.Client]
	if len(greeting) < 5 || t.cut[exchange.Server] || greeting[3] != 0 || greeting[4] != 10 || len(asked) < mysqlAsks || t.last != exchange.Client {
		return false
	}
	flags := binary.LittleEndian.Uint32(asked[4:])
	return bytes.HasPrefix(asked, []byte{mysqlAsks - 4, 0, 0, 1}) && flags&mysqlSSL != 0 && flags&mysqlProtocol41 != 0
}

// clear tells how many of the bytes b of from are in the clear.
func (t *tap) clear(from exchange.Side, b []byte) int {
	if t.turn == nil {
		return len(b)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.turn.hear(from, b)
}

// turns has the relay of both ways end, so that both sides can go on inside TLS: hello
// is what the client has said of it, and the other way's reader on server is woken.
func (t *tap) turns(server net.Conn, hello []byte) {
	t.mu.Lock()
	t.hello = bytes.Clone(hello)
	t.mu.Unlock()
	server.SetReadDeadline(time.Unix(1, 0))
}

// turning tells whether turns was called, with what the client has said.
func (t *tap) turning() (hello []byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hello, t.hello != nil
}

// secured tells the watch that what follows is inside TLS with o.
func (t *tap) secured(o exchange.Origin) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hello = nil
	t.watched(exchange.Event{Stream: rawStream, From: exchange.Client, Kind: exchange.KindTLS, At: time.Since(t.start), TLS: &o})
	t.flush()
}

// turned ends TLS on both sides of a connection that t has heard turn to it, the
// origin's handshake inside the client's. It is false if that failed, which is told.
func (r *Record) turned(ctx context.Context, client, server *peeked, t *tap) (c, s net.Conn, ok bool) {
	o, said := t.origin, false
	tc, ts, err := r.handshakes(ctx, client, server, &o, func(end exchange.End) {
		said = true
		t.secured(o)
		t.end(exchange.Server, end)
	})
	if !said {
		t.secured(o)
	}
	if err != nil {
		return client, server, false
	}
	return r.Tell.inside(tc, o), ts, true
}
