package mitm

import (
	"crypto/tls"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// The alerts by which a client says that it does not accept a certificate
// (RFC 8446 section 6.2).
const (
	alertBadCertificate     = 42
	alertCertificateUnknown = 46
	alertUnknownCA          = 48
)

// alertLen is the size of a TLS record with an alert that is not encrypted.
const alertLen = 7

// plainAlert is the alert that the client sent last, if it did not encrypt it.
// OpenSSL's client does not encrypt the one about a certificate in TLS 1.3: it
// has not changed its keys by then. crypto/tls takes that for a bad record, and
// the reason would be lost.
func (p *peeked) plainAlert() (tls.AlertError, bool) {
	t := p.tail
	if t[0] != 21 || t[1] != 3 || t[3] != 0 || t[4] != 2 || t[5] != 1 && t[5] != 2 {
		return 0, false
	}
	return tls.AlertError(t[6]), true
}

// ErrLeft is wrapped in the Err of a Trouble whose client rejected our certificate
// without a word, as Java's HttpClient and Node do: it left as soon as it had seen
// it. A client that has another reason to leave then looks the same.
var ErrLeft = errors.New("it left as soon as it had seen the certificate")

// decision is how long a client takes at most to leave for the certificate's sake.
const decision = 3 * time.Second

// leaves tells whether err, of reading a client that can see our certificate
// since then, is that it left for that.
func leaves(err error, since time.Time) bool {
	gone := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
	return gone && time.Since(since) < decision
}

// inside is what TLS on t, whose handshake just ended, carries. A client that
// leaves before it has said anything inside is told of: it may check the
// certificate only then. One that resumed a session was not shown any.
func (t Tell) inside(c *tls.Conn, o exchange.Origin) *peeked {
	if c.ConnectionState().DidResume {
		return peek(c)
	}
	since := time.Now()
	return &peeked{Conn: c, unheard: func(err error) {
		if leaves(err, since) {
			t.trouble(Rejected, o, ErrLeft)
		}
	}}
}

// rejected tells whether a server's handshake failed because the client would
// not have the certificate.
func rejected(err error) bool {
	if errors.Is(err, ErrLeft) {
		return true
	}
	alert, ok := alertIn(err)
	return ok && aboutCertificate(alert)
}

// aboutCertificate tells whether an alert says that a certificate is not accepted.
func aboutCertificate(alert uint8) bool {
	return alert == alertBadCertificate || alert == alertCertificateUnknown || alert == alertUnknownCA
}
