package ws

import (
	"fmt"
	"strconv"
)

// PermessageDeflate is the name of the extension that Params are of.
const PermessageDeflate = "permessage-deflate"

// AnyBits is Params.ClientBits of an offer that has client_max_window_bits
// without a value: the server may choose.
const AnyBits = -1

// Params are the parameters of permessage-deflate, an offer's or an answer's
// (RFC 7692, section 7.1). The zero value is the one without any.
type Params struct {
	ServerNoTakeover bool // server_no_context_takeover
	ClientNoTakeover bool // client_no_context_takeover
	ServerBits       int  // server_max_window_bits, 8 to 15, 0 if it is not there
	ClientBits       int  // client_max_window_bits, 8 to 15, 0 if it is not there, or AnyBits
}

// The names of Params's members.
const (
	serverNoTakeover = "server_no_context_takeover"
	clientNoTakeover = "client_no_context_takeover"
	serverMaxBits    = "server_max_window_bits"
	clientMaxBits    = "client_max_window_bits"
)

// ParseParams reads x, an offer or an answer. An offer with an error is one to
// decline, an answer with one fails the connection (RFC 7692, section 7.1).
func ParseParams(x Extension, offer bool) (Params, error) {
	var p Params
	if x.Name != PermessageDeflate {
		return p, fmt.Errorf("extension %s: not %s", x.Name, PermessageDeflate)
	}
	for i, v := range x.Params {
		for _, before := range x.Params[:i] {
			if before.Name == v.Name {
				return Params{}, fmt.Errorf("%s: %s twice", x, v.Name)
			}
		}
		if !p.set(v, offer) {
			return Params{}, fmt.Errorf("%s: parameter %s=%q", x, v.Name, v.Value)
		}
	}
	return p, nil
}

// set sets what v is of, and reports whether it may be.
func (p *Params) set(v Param, offer bool) bool {
	var ok bool
	switch v.Name {
	case serverNoTakeover:
		p.ServerNoTakeover = true
		return v.Value == ""
	case clientNoTakeover:
		p.ClientNoTakeover = true
		return v.Value == ""
	case serverMaxBits:
		p.ServerBits, ok = windowBits(v.Value)
		return ok
	case clientMaxBits:
		if offer && v.Value == "" {
			p.ClientBits = AnyBits
			return true
		}
		p.ClientBits, ok = windowBits(v.Value)
		return ok
	}
	return false
}

// windowBits reads a decimal from 8 to 15 without leading zeros.
func windowBits(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && MinWindowBits <= n && n <= MaxWindowBits && strconv.Itoa(n) == s
}

// Extension returns p as an element of Sec-WebSocket-Extensions.
func (p Params) Extension() Extension {
	x := Extension{Name: PermessageDeflate}
	add := func(name, value string) { x.Params = append(x.Params, Param{name, value}) }
	if p.ServerNoTakeover {
		add(serverNoTakeover, "")
	}
	if p.ClientNoTakeover {
		add(clientNoTakeover, "")
	}
	if p.ServerBits != 0 {
		add(serverMaxBits, strconv.Itoa(p.ServerBits))
	}
	switch {
	case p.ClientBits == AnyBits:
		add(clientMaxBits, "")
	case p.ClientBits != 0:
		add(clientMaxBits, strconv.Itoa(p.ClientBits))
	}
	return x
}

// String returns p as it is sent.
func (p Params) String() string { return p.Extension().String() }

// Answer returns the answer to offer of a server that would like p: p as far
// as offer allows it, and what offer asks for. Each offer can be answered.
func (p Params) Answer(offer Params) Params {
	a := Params{
		ServerNoTakeover: p.ServerNoTakeover || offer.ServerNoTakeover,
		ClientNoTakeover: p.ClientNoTakeover || offer.ClientNoTakeover,
		ServerBits:       least(p.ServerBits, offer.ServerBits),
	}
	// A client that does not offer the parameter may not know it (section 7.1.2.2).
	if offer.ClientBits != 0 && p.ClientBits > 0 {
		a.ClientBits = least(p.ClientBits, max(offer.ClientBits, 0))
	}
	return a
}

// least is the smaller of two numbers of bits, where 0 is none.
func least(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Check returns nil if answer, as it was parsed, may answer the offer p (RFC
// 7692, section 7.1), and else why a client has to fail the connection.
func (p Params) Check(answer Params) error {
	switch {
	case p.ServerNoTakeover && !answer.ServerNoTakeover:
		return fmt.Errorf("answer %q to %q: no %s", answer, p, serverNoTakeover)
	case p.ServerBits != 0 && (answer.ServerBits == 0 || answer.ServerBits > p.ServerBits):
		return fmt.Errorf("answer %q to %q: a larger %s", answer, p, serverMaxBits)
	case p.ClientBits == 0 && answer.ClientBits != 0:
		return fmt.Errorf("answer %q to %q: %s was not offered", answer, p, clientMaxBits)
	}
	return nil
}

// Server returns what a server compresses with under p, an answer: what
// NewInflater and NewDeflater take.
func (p Params) Server() (bits int, takeover bool) {
	return orMax(p.ServerBits), !p.ServerNoTakeover
}

// Client returns what a client compresses with under p, an answer.
func (p Params) Client() (bits int, takeover bool) {
	return orMax(p.ClientBits), !p.ClientNoTakeover
}

// orMax is the window that bits in an answer stand for.
func orMax(bits int) int {
	if bits < MinWindowBits {
		return MaxWindowBits
	}
	return bits
}
