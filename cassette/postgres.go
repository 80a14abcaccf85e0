package cassette

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/serge-net/serge-net/exchange"
)

// The messages of PostgreSQL's protocol that are told apart here, by their type, and
// what authentication asks for, by its number: PostgreSQL 17, section 53.7.
const (
	pgAuthentication = 'R'
	pgPassword       = 'p'
	pgKeyData        = 'K'

	pgOK           = 0
	pgMD5          = 5
	pgSASL         = 10
	pgSASLContinue = 11
	pgSASLFinal    = 12
)

// scramEvidence is why a client may be let in without its proof.
const scramEvidence = "let the client in without asking for its password: what SCRAM proves is different every time"

// withoutSCRAM is ms, a conversation, as it would have been had PostgreSQL trusted the
// client: without the messages of SCRAM, of which both sides make up a part that cannot
// be had again. It is false where there are none, or the client was not let in.
func withoutSCRAM(ms []Message) ([]Message, bool) {
	for n := range ms {
		if n+4 >= len(ms) {
			return ms, false
		}
		if asks, whole := pgAsks(ms[n]); asks != pgSASL || !whole {
			continue
		}
		more, whole := pgAsks(ms[n+2])
		final, _ := pgAsks(ms[n+4])
		if more != pgSASLContinue || !whole || final != pgSASLFinal || !pgSays(ms[n+1]) || !pgSays(ms[n+3]) {
			return ms, false
		}
		data, _, err := ms[n+4].Body.Whole()
		for kind, body := range pgFrames(data) {
			data = data[5+len(body):]
			if kind == pgAuthentication {
				break
			}
		}
		if ok, _ := pgAsks(Message{From: ms[n].From, Body: bodyOf(data)}); ok != pgOK || err != nil || len(data) == 0 {
			return ms, false
		}
		in := ms[n+4]
		in.Body = bodyOf(data)
		return append(append(ms[:n:n], in), ms[n+5:]...), true
	}
	return ms, false
}

// pgAsks is what the server asks for in m, -1 if that is no request of
// authentication, and whether that is all that it says.
func pgAsks(m Message) (asks int, whole bool) {
	if m.From != exchange.Server || m.Body.marked {
		return -1, false
	}
	data, ok, err := m.Body.Whole()
	if !ok || err != nil {
		return -1, false
	}
	for kind, body := range pgFrames(data) {
		if kind != pgAuthentication || len(body) < 4 {
			break
		}
		return int(binary.BigEndian.Uint32(body)), 5+len(body) == len(data)
	}
	return -1, false
}

// pgSays says whether m is the client's answer to such a request, and no more.
func pgSays(m Message) bool {
	data, ok, err := m.Body.Whole()
	if !ok || err != nil || m.From == exchange.Server {
		return false
	}
	for kind, body := range pgFrames(data) {
		return kind == pgPassword && 5+len(body) == len(data)
	}
	return false
}

// pgFrames are the messages in b, up to one that is not whole: their type and their
// body.
func pgFrames(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for len(b) >= 5 {
			n := binary.BigEndian.Uint32(b[1:])
			if n < 4 || uint64(n)+1 > uint64(len(b)) || !yield(b[0], b[5:n+1]) {
				return
			}
			b = b[n+1:]
		}
	}
}

// withoutKeys is b, the beginning of what a PostgreSQL server said, without what is
// different each time: the salt that it asks a digest with, and the key to cancel.
func withoutKeys(b []byte) []byte {
	out := bytes.Clone(b)
	at := 0
	for kind, body := range pgFrames(b) {
		switch {
		case kind == pgKeyData:
			clear(out[at+5 : at+5+len(body)])
		case kind == pgAuthentication && len(body) == 8 && binary.BigEndian.Uint32(body) == pgMD5:
			clear(out[at+9 : at+13])
		}
		at += 5 + len(body)
	}
	return out
}
