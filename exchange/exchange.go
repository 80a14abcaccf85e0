// Package exchange holds the values that cross the house: who a connection
// belongs to, what each side did on it, and the three boundaries that these
// values pass: Decoder, Watcher and Player. It does no I/O.
//
// An exchange is the events of one stream, from its request's Head to the End
// of both sides:
//
//	client: Head Data* [Trailers] End
//	server: Head(1xx)* Head Data* [Trailers] End
//
// A connection to an origin that failed before anything could be asked is told
// as an exchange of its own: a Head of the client with Method CONNECT and Scheme
// "tcp", without a Target, and the Ends.
//
// A connection of a protocol that is neither HTTP nor TLS is told in the same words:
// a Head of the client with Method CONNECT and Scheme "tcp", or "tls" if all of
// it is inside TLS, without a Target, and then, without a Head of the server, Data
// of both sides in order until each side's End. A KindTLS among them says that both
// sides go on inside TLS, as after STARTTLS.
//
// A stream whose final Head is 101, or 2xx to CONNECT, carries Data of both
// sides, in order, until each side's End. It so has two Ends of the client: that
// of the request, before the final Head, and that of what it sent after it. If
// the final Head is Framed, the stream is a WebSocket: it has Messages in place of
// Data, and Data is what came that is no WebSocket.
//
// A WebSocket is told to a Watcher or a Player as it is opened in HTTP/1.1 (GET with
// Upgrade, 101), whatever version it came by.
package exchange

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Side says who did something.
type Side uint8

// The two sides of a connection.
const (
	Client Side = iota // the target's end
	Server             // the origin, or we in its place
)

// String returns "client" or "server".
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// A Field is one header or trailer field as it was sent: order, case and
// duplicates are kept by keeping a slice of them. Value is bytes, not
// necessarily UTF-8, without the optional white space around it.
type Field struct{ Name, Value string }

// Get returns the first value of name, compared without case, and whether there is one.
func Get(fields []Field, name string) (string, bool) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Caller is the process that opened a connection. A zero PID means unknown.
type Caller struct {
	PID     int
	UID     int
	Cgroup  uint64 // cgroup v2 inode number
	Command string // the executable's base name, as /proc/PID/comm has it
}

// Origin is the server that the client believes it reached.
type Origin struct {
	Addr   netip.AddrPort // what the client connected to; may be a pinned address
	Name   string         // the host name pinned to Addr, "" if none is
	SNI    string         // the name that the client asked TLS for, "" if none
	TLS    bool
	ALPN   string   // the protocol negotiated in TLS, "" if none
	Names  []string // the DNS names and addresses in the origin's certificate
	Caller Caller
}

// Host is the best name known for the origin without looking at a request:
// SNI, else the pinned name, else the address.
func (o Origin) Host() string {
	switch {
	case o.SNI != "":
		return o.SNI
	case o.Name != "":
		return o.Name
	}
	return o.Addr.Addr().Unmap().String()
}

// Kind says what an Event is.
type Kind uint8

// The kinds of events.
const (
	KindHead     Kind = iota + 1 // Event.Head: a request, a response, a 1xx
	KindData                     // Event.Data: a piece of body or of an upgraded stream
	KindTrailers                 // Event.Fields
	KindEnd                      // Event.End
	KindMessage                  // Event.Message, and Event.Data: a piece of a WebSocket's message
	KindWait                     // of a Player's answer: see Play.Event
	KindTLS                      // Event.TLS: what both sides say from here on is inside TLS
)

// Head is a request's or a response's first part. Which of the two is told by
// Status: it is zero in a request.
type Head struct {
	Method    string // request
	Scheme    string // request: "http" or "https", from the connection or :scheme; "tcp" or "tls" of what is no HTTP
	Authority string // request: Host or :authority, as sent; "" if none was
	Target    string // request: the request-target as sent: path and query, "*", or absolute-form
	Status    int    // response
	Reason    string // response, HTTP/1 only
	Version   string // "1.0", "1.1", "2" or "3"
	Fields    []Field
	// Pseudo is the names of an HTTP/2 request's pseudo fields in the order in
	// which they came, where that is known: it matters to some origins.
	Pseudo []string
	// Raw is the head as read, up to and with its empty line, and is set only
	// where printing the other members would not give it back (HTTP/1: odd
	// spacing, bare LF).
	Raw []byte
}

// How tells how one side of a stream ended.
type How uint8

// The ways in which a side ends.
const (
	Complete    How = iota // as the protocol says
	Truncated              // the connection ended before the message did
	Reset                  // RST, RST_STREAM or GOAWAY
	Refused                // no connection could be made: nothing listens there
	Timeout                // none could be made in the time there was
	TLSAlert               // the TLS handshake failed, and an alert says so: Code
	Unreachable            // no connection could be made: no route leads there
	Unresolved             // the name has no address
	Malformed              // what came is not of the protocol
	Left                   // nothing more came until the client left, as it does after its own timeout
)

// String returns the word for h that cassettes use, and a number for what is
// none of the above.
func (h How) String() string {
	words := [...]string{"complete", "truncated", "reset", "connection_refused", "connect_timeout", "tls", "unreachable", "dns", "protocol", "read_timeout"}
	if int(h) >= len(words) {
		return fmt.Sprintf("How(%d)", uint8(h))
	}
	return words[h]
}

// HowOf is the inverse of How.String. It knows the shorter words of older
// cassettes too; another word is false.
func HowOf(word string) (How, bool) {
	switch word {
	case "refused":
		return Refused, true
	case "timeout":
		return Timeout, true
	}
	for h := Complete; h <= Left; h++ {
		if h.String() == word {
			return h, true
		}
	}
	return Complete, false
}

// Phase is how far a connection to the origin had come when it failed.
type Phase string

// The phases. The zero Phase is that of an answer.
const (
	PhaseDNS     Phase = "dns"
	PhaseConnect Phase = "connect"
	PhaseTLS     Phase = "tls"
)

// End is how and why one side of a stream ended.
type End struct {
	How   How
	Code  uint32 // HTTP/2: the error code of RST_STREAM or GOAWAY; TLSAlert: the alert's number
	Err   string // the cause in words; "" if complete
	Phase Phase
	Errno string        // the name of the system's error: "ECONNREFUSED"; "" if it was none
	Wait  time.Duration // how long the client had waited for what did not come, if that is known
	// Conn is, in HTTP/2, that it was by the end of the connection, Truncated or
	// Reset, and not by a frame; of a connection in TLS, that it ended below it, without
	// close_notify.
	Conn bool
}

// unknownWait is how long a client is kept waiting of which it is not known how
// long it did: more than the usual short timeouts of tests.
const unknownWait = 10 * time.Second

// Patience is how long a client is kept waiting, at most, for what it is not to
// get until it leaves: for twice as long as it waited when it was recorded, and a
// second, as its own timeout has not changed.
func (e End) Patience() time.Duration {
	if e.Wait <= 0 {
		return unknownWait
	}
	return 2*e.Wait + time.Second
}

// An Event is one thing that one side did on one stream of a connection.
// The bytes it points to are valid only during the call that passes it on.
type Event struct {
	Stream uint64 // HTTP/1: 1, 2, 3… in order of requests; HTTP/2: the stream id
	From   Side
	Kind   Kind
	At     time.Duration // since the connection was opened
	Head   *Head
	Data   []byte
	// Framed is, of a response's Head, that the stream goes on in Messages.
	Framed  bool
	Message *Message
	// Chunk is, on the first Data of an HTTP/1 chunk, the chunk's size, and
	// zero on every other: a chunk may arrive in several pieces.
	Chunk  int64
	Fields []Field // trailers; may be empty: then it marks the end of a chunked body
	End    *End
	TLS    *Origin // its SNI, ALPN and Names are those of the handshake; nil in an answer of a Player
	// Pause is, in an answer of a Player, how long to wait before this is sent,
	// counted from what was sent before it. A client that leaves meanwhile ends
	// it. That it sends no more counts as leaving, as in net/http.
	Pause time.Duration
	// Raw is the framing as read, where printing would not give it back. On the
	// first Data of a chunk: the chunk-size line with its line end, set if it is
	// not lower-case hex, CRLF. On Trailers: the last chunk's line through the
	// empty line. On the End of an HTTP/1 message that was cut: the framing that
	// came since the last event, which no event tells.
	Raw []byte
}

// A Decoder turns the bytes of one connection, both sides as they come, into
// events. It never blocks, holds a bounded amount, and is not safe for
// concurrent use. After an error it understands no more: every later call
// returns the same error and emits nothing.
type Decoder interface {
	// Feed takes the next bytes that from sent. Events alias b and the
	// decoder's own buffers; they are valid only during emit.
	Feed(from Side, at time.Duration, b []byte, emit func(Event)) error
	// Close says that from sends no more, and how it ended (Complete for a FIN).
	// A message that was not at its end is reported Truncated or Reset.
	Close(from Side, at time.Duration, end End, emit func(Event)) error
}

// An Encoder turns the server's events of one stream into bytes for the client.
type Encoder interface {
	// Encode appends e to dst.
	Encode(dst []byte, e Event) ([]byte, error)
}

// A Watcher is told what happens on connections while it passes by.
// Open is safe for concurrent use.
type Watcher interface {
	Open(o Origin) (Watch, error)
}

// A Watch is told what happens on one connection. Its methods are called one
// at a time. It copies what it keeps. After an error it is not called again.
type Watch interface {
	Event(e Event) error
	// Flush hands what was told so far to the kernel: it survives SIGKILL.
	Flush() error
	Close() error
}

// An Offer is what a replayed TLS server shows: the origin's choice of
// protocol and the names in its certificate.
type Offer struct {
	Recorded bool     // something is recorded for this host and port
	ALPN     []string // in order of preference; empty: none was negotiated
	Names    []string
	// ConnectProtocol says that a WebSocket was opened over HTTP/2 there: the origin
	// takes extended CONNECT (RFC 8441).
	ConnectProtocol bool
	Raw             Share
	Opens           bool // in one of the conversations the origin was the first to speak
}

// Share is how much of what is recorded for a host and port is conversations: of
// protocols that are neither HTTP nor TLS.
type Share uint8

// The shares.
const (
	None Share = iota
	Some
	All // there is nothing else
)

// A Player answers in the origin's place. Its methods are safe for concurrent use.
type Player interface {
	// Offer is asked before the TLS handshake is answered.
	Offer(o Origin) Offer
	// Fail is asked when a client has connected to o, before anything of the
	// origin is shown to it. True: when it was recorded, a connection failed in
	// this place, and so is this one to fail, with End; in the TLS handshake only
	// if o.TLS. Connections of a client
	// that speaks HTTP/1 in clear fail with their request instead: see Play.
	Fail(o Origin) (End, bool)
	Open(o Origin) (Play, error)
}

// ErrUndelivered is wrapped by an error of an answer of which the client has not
// got a byte.
var ErrUndelivered = errors.New("exchange: no byte of the answer was delivered")

// A Play answers the exchanges of one connection. Events of one stream come in
// order, one at a time; those of different streams may come concurrently.
type Play interface {
	// Event takes what the client did. When it is the End of a request, the
	// whole answer goes to answer, in order and blocking while the client reads
	// slowly, before Event returns. An interim answer (100) may go earlier.
	// Nothing that matches: a *Miss, and answer was not called for a final head.
	// KindWait goes to answer where the Play wants to be called with the same event
	// after Event.Pause, in the place of an earlier one, or not any more if that is
	// zero. A *Miss that it then returns ends nothing: what is due was not said.
	// KindTLS goes to answer where the origin began TLS, or, with an End, where its
	// handshake ended so; the event is passed back, from the Client, when ours is done.
	// An error of answer is returned as it is. The recording was not used up if it
	// is the first of the answer's, or wraps ErrUndelivered.
	Event(e Event, answer func(Event) error) error
	Close()
}
