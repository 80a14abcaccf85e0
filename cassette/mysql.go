package cassette

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/serge-net/serge-net/exchange"
)

// The flags of capabilities in MySQL's protocol that say what a client's answer to the
// greeting holds, and how far it is fixed: MariaDB's documentation, "Connection", Handshake
// Response Packet.
const (
	mysqlWithDB        = 0x00000008
	mysqlSecure        = 0x00008000
	mysqlPluginAuth    = 0x00080000
	mysqlAttributes    = 0x00100000
	mysqlLenencSecrets = 0x00200000
	mysqlFixed         = 32
)

// mysqlHead is a packet's header: the length of what follows in three bytes, and its number.
const mysqlHead = 4

// mysqlLogin is which piece of ms is a MySQL client's answer to the greeting, -1 if ms is no
// conversation of MySQL's.
func mysqlLogin(ms []Message) int {
	if len(ms) == 0 || ms[0].From != exchange.Server {
		return -1
	}
	greeting, _, err := ms[0].Body.Whole()
	if err != nil || len(greeting) < mysqlHead+1 || !mysqlPacket(greeting) || greeting[3] != 0 || greeting[mysqlHead] != 10 {
		return -1
	}
	return slices.IndexFunc(ms, func(m Message) bool {
		b, _, err := m.Body.Whole()
		return m.From == exchange.Client && err == nil && !m.Body.marked && mysqlPacket(b) && len(b) > mysqlHead+mysqlFixed
	})
}

// mysqlPacket says whether b is one packet, whole.
func mysqlPacket(b []byte) bool {
	return len(b) >= mysqlHead && len(b) == mysqlSize(b)
}

// mysqlSize is how long the packet is that b, of four bytes at least, begins with.
func mysqlSize(b []byte) int {
	return mysqlHead + (int(b[0]) | int(b[1])<<8 | int(b[2])<<16)
}

// A mysqlAnswer is where in a MySQL client's answer to the greeting things stand, in bytes
// from its beginning.
type mysqlAnswer struct {
	proof stretch // what is made of the password and of what the server made up
	sizes stretch // the length of all attributes
	attrs stretch // the attributes: names and values
}

// A stretch is from where to before where.
type stretch struct{ from, to int }

// readMySQLAnswer reads b, one packet. It is false if b is none that has attributes.
func readMySQLAnswer(b []byte) (a mysqlAnswer, ok bool) {
	if len(b) <= mysqlHead+mysqlFixed {
		return a, false
	}
	flags := binary.LittleEndian.Uint32(b[mysqlHead:])
	at := mysqlHead + mysqlFixed
	ok = flags&mysqlAttributes != 0
	skip := func(n int, found bool) stretch {
		if ok = ok && found && at+n <= len(b); !ok {
			return stretch{}
		}
		at += n
		return stretch{at - n, at}
	}
	text := func() stretch { i := bytes.IndexByte(b[at:], 0); return skip(i+1, i >= 0) }
	text() // the user
	switch {
	case flags&mysqlLenencSecrets != 0:
		n, size, found := lenenc(b[at:])
		skip(n, found)
		a.proof = skip(size, found)
	case flags&mysqlSecure != 0 && at < len(b):
		size := int(b[at])
		skip(1, true)
		a.proof = skip(size, true)
	default:
		a.proof = text()
	}
	if flags&mysqlWithDB != 0 {
		text()
	}
	if flags&mysqlPluginAuth != 0 {
		text()
	}
	n, size, found := lenenc(b[at:])
	a.sizes = skip(n, found)
	a.attrs = skip(size, found)
	return a, ok
}

// withoutPID is a MySQL client's answer to the greeting without what tells its process
// from others, and so without the lengths that this is part of. It is false if b is none.
func withoutPID(b []byte) ([]byte, bool) {
	a, ok := readMySQLAnswer(b)
	if !ok {
		return nil, false
	}
	out := bytes.Clone(b[3:a.sizes.from])
	for rest := b[a.attrs.from:a.attrs.to]; ok && len(rest) > 0; {
		from := rest
		name := lenencText(&rest, &ok)
		lenencText(&rest, &ok)
		if string(name) != "_pid" {
			out = append(out, from[:len(from)-len(rest)]...)
		}
	}
	return append(out, b[a.attrs.to:]...), ok
}

// withoutProof is withoutPID, and without what was made up for this time.
func withoutProof(b []byte) []byte {
	a, ok := readMySQLAnswer(b)
	if !ok {
		return b
	}
	blank := bytes.Clone(b)
	clear(blank[a.proof.from:a.proof.to])
	if out, ok := withoutPID(blank); ok {
		return out
	}
	return blank
}

// Where a MySQL server's greeting has, from behind its version on, the number of the
// connection and the first part of what it made up, and where the second part.
const (
	mysqlMadeUp      = 4 + 8
	mysqlMadeUpAgain = mysqlMadeUp + 19
)

// withoutNonce is b, a MySQL server's greeting, without what was made up for this time.
func withoutNonce(b []byte) []byte {
	out := bytes.Clone(b)
	at := mysqlHead + 1 + bytes.IndexByte(b[mysqlHead+1:], 0) + 1
	if at == mysqlHead+1 || at+mysqlMadeUpAgain+12 > len(b) {
		return out
	}
	clear(out[at : at+mysqlMadeUp])
	clear(out[at+mysqlMadeUpAgain : at+mysqlMadeUpAgain+12])
	return out
}

// lenenc reads the length that b begins with: how many bytes it takes, and what it is.
func lenenc(b []byte) (n, size int, ok bool) {
	switch {
	case len(b) == 0:
		return 0, 0, false
	case b[0] < 0xfb:
		return 1, int(b[0]), true
	case b[0] == 0xfc && len(b) >= 3:
		return 3, int(binary.LittleEndian.Uint16(b[1:])), true
	}
	return 0, 0, false // longer than the packets that it is looked for in
}

// lenencText takes a text and its length off b.
func lenencText(b *[]byte, ok *bool) []byte {
	n, size, found := lenenc(*b)
	if *ok = *ok && found && n+size <= len(*b); !*ok {
		return nil
	}
	text := (*b)[n : n+size]
	*b = (*b)[n+size:]
	return text
}
