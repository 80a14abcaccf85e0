// Package cassette keeps what passed between a target and its origins, and
// speaks it again.
//
// A Store is a directory of cassettes. While a command runs, a Recorder writes
// what happens to a journal, append-only and redacted; on Close it compacts the
// journal into one JSON file that is made to be read and diffed. A Player
// matches live requests against a Cassette and answers them.
//
// Text in the model is in the cassette's own form: a secret is a placeholder
// like {{secret:auth#1}}, and a literal "{{secret:" is escaped. Bodies are the
// bytes that passed, but for those with secrets in them, which are in that form
// too, without their content coding.
package cassette

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// Version is the format that this package writes. A file of another major
// version is refused; unknown keys of a later minor one are kept.
const Version = "1.0"

// A Cassette is the record of a run. It is read-only once loaded.
type Cassette struct {
	Name         string
	RecordedAt   time.Time // UTC, to the millisecond; zero if the file has none
	RecordedWith string    // the program that wrote it, like "serge-net 0.1.0"
	Incomplete   bool      // the recording was cut off or its command failed
	Interactions []*Interaction
	DNS          []DNS
	Pins         []Pin
	Rules        Rules

	box    box
	shapes map[string]string // placeholder → what its secret looked like
	others []*node           // interactions of kinds that this version does not play
	extra  []member          // top-level members that this version does not know, and rules
	twin   *twin             // where the interactions are, if they are not in memory

	// As read, for members that this version does not know.
	profiles []member         // the connections by label
	asked    map[string]*node // the DNS interactions by question
	pinned   *node            // dns
}

// A Connection is the profile of connections to one origin, not a TCP connection.
type Connection struct {
	Scheme  string // "http" or "https"; of a conversation "tcp", or "tls" if all of it is inside TLS
	Host    string
	Port    uint16
	Version string // of HTTP
	ALPN    string
	SNI     string
	Names   []string // DNS names and addresses in the origin's certificate
	// ConnectProtocol is set where a WebSocket was opened over HTTP/2 (RFC 8441): the
	// origin said that it takes that.
	ConnectProtocol bool
}

// An Interaction is the record of one exchange.
type Interaction struct {
	ID         string
	Seq        int // place in the file, from 1
	Connection Connection
	Request    Request
	Response   *Response     // nil if none came: then Failure says why
	Upgraded   []Message     // what passed after a 101 or a CONNECT, or in a conversation
	TCP        *TCP          // of a conversation: how it ended
	WebSocket  *WebSocket    // in place of Upgraded, if it was one
	Call       *Call         // the order of what passed, if the exchange is of gRPC
	ClosedBy   exchange.Side // of an upgraded stream: who ended it first
	Failure    *Failure
	Peer       Peer
	Timing     Timing

	// For members that this version does not know:
	src  *node // as read; nil if it was recorded now
	past *node // as read, the one that it takes the place of
	key  form
	when
}

// Peer is who an exchange was between, where RecordOptions.Peers asks for it.
// Its zero value is unknown. Nothing is compared by it.
type Peer struct {
	Addr    netip.AddrPort // that the client connected to
	PID     int            // of the client
	Command string         // of the client: its executable's base name
}

// Request is the client's half of an interaction.
type Request struct {
	Method  string
	URL     string // absolute, default port left out
	Target  string // the request-target where URL does not give it back: "*", absolute-form
	Version string
	Fields  []exchange.Field
	RawHead []byte // where printing Fields would not give the bytes back
	Message
	Trailers []exchange.Field
}

// Response is the origin's half of an interaction.
type Response struct {
	Informational []Interim
	Status        int
	Reason        string
	Version       string // where it differs from the request's
	Fields        []exchange.Field
	RawHead       []byte
	Message
	Trailers []exchange.Field
}

// Interim is a 1xx answer.
type Interim struct {
	Status int
	Reason string
	Fields []exchange.Field
	At     time.Duration // since the request began
}

// Message is one side's payload and how HTTP/1 chunked it.
type Message struct {
	From exchange.Side // of a piece of an upgraded stream
	// At is, of a piece of a conversation, when it began, since the connection was
	// opened. StartTLS is a piece without bytes: what both sides say behind it is inside
	// TLS. HalfClose is one too: From says no more, and the other side goes on.
	At                  time.Duration
	StartTLS, HalfClose bool

	Body   Body
	Chunks []Run          // sizes of the chunks in order; empty if it was not chunked
	Lines  map[int][]byte // chunk-size lines that are not lower-case hex, by chunk
	RawEnd []byte         // the last chunk through the empty line, where odd; of a cut message, what came of its framing at last
	// End is how it ended: Complete, Truncated, Reset, Malformed or Left. Of a
	// request that did not end, because its origin had answered, Body is the
	// beginning.
	End     exchange.How
	EndCode uint32 // HTTP/2, of a message that was Reset: the code of RST_STREAM or GOAWAY
	times   []time.Duration
	pieces  []Piece
}

// Run is Count chunks of the same Size in bytes.
type Run struct{ Size, Count int64 }

// Timing is when things happened. Only Start counts from the start of the
// recording; the others are lengths.
type Timing struct {
	Start, Send, Wait, Receive time.Duration
	Chunks                     []time.Duration // arrival since the response head, by chunk
	Pieces                     []Piece         // of a stream that had no chunks, in order
}

// A Piece is Size bytes of a stream that arrived At after the response head.
type Piece struct {
	At   time.Duration
	Size int64
}

// DNS is an answer that is replayed as it came. Addresses of pinned names are
// not among them.
type DNS struct {
	Name, Type, Rcode              string
	Answers, Authority, Additional []string // records in zone-file form
}

// Pin is a name and the addresses that stand for it, so that a replay hands
// out the same ones. An invalid address was not handed out.
type Pin struct {
	Name   string
	V4, V6 netip.Addr
}

// when is where an exchange lay in time, since the start of the recording.
type when struct{ start, end time.Duration }

// Route is the request's method and URL without its query.
func (i *Interaction) Route() string {
	u, _, _ := strings.Cut(i.Request.URL, "?")
	return i.Request.Method + " " + u
}

// Line is the interaction in one line: method, URL and outcome.
func (i *Interaction) Line() string {
	s := i.Request.Method + " " + i.Request.URL + " -> " + i.outcome()
	switch {
	case i.Response == nil || i.Converses():
	case i.WebSocket != nil:
		s += fmt.Sprintf(" (websocket, messages: %d)", len(i.Passed()))
	case i.Response.left():
		s += " (left)"
	case i.Call != nil && i.Response.End == exchange.Complete:
		s += " (" + i.Call.outcome(i.Response) + ")"
	case i.Response.End != exchange.Complete:
		s += " (" + i.Response.End.String() + ")"
	}
	return s
}

// Hosts are the recorded hosts, with the port where it is not the default, sorted.
func (c *Cassette) Hosts() []string {
	seen := map[string]bool{}
	for _, i := range c.Interactions {
		seen[hostOf(i.Request.URL)] = true
	}
	if c.twin != nil {
		for _, p := range c.twin.profiles {
			seen[foldPort(p.Scheme, fmt.Sprintf("%s:%d", p.Host, p.Port))] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Len is how many interactions there are.
func (c *Cassette) Len() int {
	if c.twin != nil {
		return c.twin.count
	}
	return len(c.Interactions)
}

// each calls f with every interaction, in order.
func (c *Cassette) each(f func(*Interaction) error) error {
	if c.twin != nil {
		return c.twin.each(f)
	}
	for _, i := range c.Interactions {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// Command is the program whose run was recorded first, without its directory; ""
// if the cassette does not say.
func (c *Cassette) Command() string { return (&node{mem: c.extra}).text("command") }

// Doubtful says that i's answer tells of an origin that was not well when it was
// recorded, rather than of what it does: 429, 5xx, a cut answer, or none. That its client
// left a stream is no such thing.
func (i *Interaction) Doubtful() bool {
	r := i.Response
	if i.Converses() {
		return i.ClosedBy == exchange.Server && i.TCP.How != exchange.Complete
	}
	return r == nil || r.Status == 429 || r.Status >= 500 || r.End != exchange.Complete && !r.left()
}

// Interaction returns the interaction called id, or nil.
func (c *Cassette) Interaction(id string) *Interaction {
	for _, i := range c.Interactions {
		if i.ID == id {
			return i
		}
	}
	return nil
}
