package mitm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/serge-net/serge-net/exchange"
)

// The numbers of SOCKS5, RFC 1928.
const (
	socksVersion = 5 // the first byte that a client sends

	socksNoAuth       = 0x00
	socksUnacceptable = 0xff // none of the methods

	socksConnect   = 1
	socksBind      = 2
	socksAssociate = 3 // UDP

	socksIPv4 = 1
	socksName = 3
	socksIPv6 = 4
)

// A socksReply is a reply's REP field, RFC 1928 section 6.
type socksReply byte

const (
	socksGranted     socksReply = 0
	socksFailure     socksReply = 1 // general
	socksForbidden   socksReply = 2
	socksNoNetwork   socksReply = 3
	socksNoHost      socksReply = 4
	socksRefused     socksReply = 5
	socksNoCommand   socksReply = 7
	socksNoAddresses socksReply = 8 // of this type
)

// append appends the whole reply to dst, with no bound address: a client of
// CONNECT has no use for it.
func (r socksReply) append(dst []byte) []byte {
	return append(dst, socksVersion, byte(r), 0, socksIPv4, 0, 0, 0, 0, 0, 0)
}

// A socksError is a request that gets another reply than socksGranted.
type socksError struct {
	reply socksReply
	what  string
}

// Error says what is wrong with the request.
func (e *socksError) Error() string { return "SOCKS5: " + e.what }

// A socksRequest is what a client asks for.
type socksRequest struct {
	command byte
	host    string // a name, or the text of an address
	port    uint16
}

// parseSocksGreeting reads the methods that a client offers, and how many bytes
// that took: 0 if b is not all of it.
func parseSocksGreeting(b []byte) (methods []byte, n int) {
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return nil, 0
	}
	n = 2 + int(b[1])
	return b[2:n], n
}

// parseSocksRequest reads a request, and how many bytes that took: 0 if b is
// not all of it.
func parseSocksRequest(b []byte) (r socksRequest, n int, err error) {
	if len(b) < 5 { // through the first byte of the address, a name's length
		return r, 0, nil
	}
	size := map[byte]int{socksIPv4: 4, socksName: 1 + int(b[4]), socksIPv6: 16}[b[3]]
	switch {
	case b[0] != socksVersion:
		return r, 0, &socksError{socksFailure, fmt.Sprintf("a request of version %d", b[0])}
	case size == 0:
		return r, 0, &socksError{socksNoAddresses, fmt.Sprintf("address type %d", b[3])}
	case len(b) < 4+size+2:
		return r, 0, nil
	}
	n = 4 + size + 2
	r.command, r.port = b[1], uint16(b[n-2])<<8|uint16(b[n-1])
	address := b[4 : 4+size]
	if b[3] == socksName {
		r.host = string(address[1:])
		return r, n, nil
	}
	a, _ := netip.AddrFromSlice(address)
	r.host = a.Unmap().String()
	return r, n, nil
}

// askedBySocks talks to a SOCKS5 client until it has said what origin it wants,
// which it then waits to be told of. An error was told to it.
func askedBySocks(c *peeked, caller exchange.Caller) (exchange.Origin, error) {
	r, err := c.takeSocks()
	if err == nil {
		err = r.allowed()
	}
	var o exchange.Origin
	if err == nil {
		o, err = named(r.host, r.port, caller)
	}
	if err != nil {
		c.Write(replyTo(err).append(nil))
		return o, err
	}
	c.answers(func(err error) []byte { return replyTo(err).append(nil) })
	return o, nil
}

// allowed refuses all commands but CONNECT.
func (r socksRequest) allowed() error {
	switch r.command {
	case socksConnect:
		return nil
	case socksBind:
		return &socksError{socksNoCommand, "BIND is not offered"}
	case socksAssociate:
		return &socksError{socksNoCommand, "UDP ASSOCIATE is not offered: only TCP is recorded"}
	}
	return &socksError{socksNoCommand, fmt.Sprintf("command %d is unknown", r.command)}
}

// takeSocks answers the greeting and reads the request.
func (p *peeked) takeSocks() (r socksRequest, err error) {
	for {
		methods, n := parseSocksGreeting(p.ahead)
		if n == 0 {
			if err := p.more(); err != nil {
				return r, err
			}
			continue
		}
		p.ahead = p.ahead[n:]
		for _, m := range methods {
			if m == socksNoAuth {
				_, err := p.Write([]byte{socksVersion, socksNoAuth})
				if err != nil {
					return r, err
				}
				return p.takeSocksRequest()
			}
		}
		p.Write([]byte{socksVersion, socksUnacceptable})
		return r, errors.New("SOCKS5: the client insists on authentication, which this proxy has none of")
	}
}

// takeSocksRequest reads what the client asks for.
func (p *peeked) takeSocksRequest() (socksRequest, error) {
	for {
		r, n, err := parseSocksRequest(p.ahead)
		if err != nil {
			return r, err
		}
		if n > 0 {
			p.ahead = p.ahead[n:]
			return r, nil
		}
		if err := p.more(); err != nil {
			return r, err
		}
	}
}

// What Windows calls the errors of a connect, which package syscall does not
// map to the ones it has for it:
// https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2
const (
	wsaNetUnreach  syscall.Errno = 10051
	wsaConnRefused syscall.Errno = 10061
	wsaHostUnreach syscall.Errno = 10065
)

// replyTo is the reply that tells a client of err.
func replyTo(err error) socksReply {
	var asked *socksError
	if errors.As(err, &asked) {
		return asked.reply
	}
	var errno syscall.Errno
	var name *net.DNSError
	var slow net.Error
	errors.As(err, &errno)
	switch {
	case err == nil:
		return socksGranted
	case errors.Is(err, ErrOurselves):
		return socksForbidden
	case errno == syscall.ECONNREFUSED || errno == wsaConnRefused:
		return socksRefused
	case errno == syscall.ENETUNREACH || errno == wsaNetUnreach:
		return socksNoNetwork
	case errno == syscall.EHOSTUNREACH || errno == wsaHostUnreach,
		errors.As(err, &name), errors.As(err, &slow) && slow.Timeout():
		return socksNoHost
	}
	return socksFailure
}
