package cassette

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A tape is a journal put in order: the exchanges that it tells of.
type tape struct {
	meta    meta
	clean   bool // the recorder came to its end
	failed  bool // and said that the command failed
	takes   []*take
	dns     []DNS
	pins    []Pin
	shapes  map[string]string
	guard   *hider // what refuses a secret that is left; nil: nothing
	skipped int    // exchanges of which too little is known

	file  io.ReaderAt
	seal  *sealing // what the journal is encrypted by, or nil
	lost  int64    // bytes at its end that were cut or damaged
	conns map[uint64]*reel
	open  map[takeKey]*take
}

// A reel is one connection of a tape.
type reel struct {
	origin exchange.Origin
	start  time.Duration
}

type takeKey struct{ conn, stream uint64 }

// A take is one exchange while it is put together.
type take struct {
	reel       *reel
	req, res   *exchange.Head
	interim    []Interim
	sides      [2]side
	start, end time.Duration
	headAt     time.Duration    // of the final response head
	talk       []piece          // of an upgraded stream, coalesced by direction
	socket     *socket          // in place of talk, of a WebSocket
	handshake  *exchange.Origin // of a conversation that turned to TLS: what it showed
	steps      []step           // of a call: in which order it went
}

// A piece is what one end of an upgraded stream sent until the other spoke.
type piece struct {
	from exchange.Side
	side side
	at   time.Duration // since the start of the recording
	what act
}

// An act is what one end of an upgraded stream did.
type act uint8

const (
	speaks act = iota
	ceases
	secures
)

// A side is what one end of a take sent.
type side struct {
	segments []segment
	size     int64
	msg      Message
	trailers []exchange.Field
	end      *exchange.End
	endAt    time.Duration
	marked   bool     // it is in the cassette's form,
	coding   string   // with this content coding undone
	frames   *framing // how its messages are coded, of a call
}

// A segment is a piece of body in the journal, in bytes.
type segment struct{ at, n int64 }

// readTape reads the journal in file. What is torn or unknown is left out.
func readTape(file io.ReaderAt, size int64) (*tape, error) {
	t := &tape{file: file, shapes: map[string]string{}, conns: map[uint64]*reel{}, open: map[takeKey]*take{}}
	good, err := scanJournal(io.NewSectionReader(file, 0, size), t.record)
	if err != nil {
		return nil, err
	}
	t.lost = size - good
	had := len(t.takes)
	t.takes = slices.DeleteFunc(t.takes, func(k *take) bool { return !k.told(!t.clean) })
	t.skipped = had - len(t.takes)
	slices.SortStableFunc(t.takes, func(a, b *take) int { return cmp.Compare(a.start, b.start) })
	return t, nil
}

// record takes one record in.
func (t *tape) record(typ byte, payload []byte, at int64) error {
	e := &eye{b: payload}
	switch typ {
	case recMeta:
		t.meta = e.meta()
	case recConn:
		id, start := e.num(), e.dur()
		t.conns[id] = &reel{e.origin(), start}
	case recSecret:
		mark := e.str()
		t.shapes[mark] = e.str()
	case recDNS:
		t.dns = append(t.dns, e.dns())
	case recPin:
		t.pins = append(t.pins, e.pin())
	case recClosed:
		t.clean, t.failed = true, e.num() == 1
	case recHead, recData, recMarked, recMessage, recPiece, recTrails, recEnd, recTLS:
		t.event(typ, e, len(payload), at)
	}
	return nil
}

// event takes a record of an exchange in.
func (t *tape) event(typ byte, e *eye, size int, at int64) {
	k := takeKey{e.num(), e.num()}
	from, when := exchange.Side(e.num()), e.dur()
	reel := t.conns[k.conn]
	if e.bad || reel == nil || from > exchange.Server {
		return
	}
	when += reel.start
	take := t.open[k]
	if take == nil {
		if typ != recHead || from != exchange.Client {
			return // bytes of a stream that had no request
		}
		take = t.start(k, reel, when)
	}
	take.end = max(take.end, when)
	s := &take.sides[from]
	switch typ {
	case recHead:
		take.head(e.head(), when)
		if framed := len(e.b) > 0 && e.num() == 1; framed { // journals of version 0.1 end with the head
			take.socket = &socket{}
		}
	case recMessage:
		if m, marked := e.message(); take.socket != nil && !e.bad {
			take.socket.add(from, m, marked, segment{at + int64(size-len(e.b)), int64(len(e.b))}, when-take.headAt)
		}
	case recData, recMarked:
		take.said(e, from, typ == recMarked, at+int64(size), when)
	case recPiece:
		s.msg.piece(Piece{when - take.headAt, int64(e.num())})
	case recTrails:
		s.trailers = e.fields()
		s.msg.RawEnd = bytes.Clone(e.bytes())
	case recEnd:
		take.over(e, from, when)
	case recTLS:
		take.handshake = e.handshake(reel.origin)
		take.talk = append(take.talk, piece{from: from, at: when, what: secures})
	}
}

// said takes a piece of body in, which ends at end in the journal.
func (k *take) said(e *eye, from exchange.Side, marked bool, end int64, when time.Duration) {
	chunk, raw := int64(e.num()), e.bytes()
	coding := ""
	if marked {
		coding = e.str()
	}
	seg := segment{end - int64(len(e.b)), int64(len(e.b))}
	switch {
	case from == exchange.Server && !k.answers():
		return
	case k.socket != nil:
		k.socket.foreign(from, seg, when-k.headAt)
		return
	}
	if body := k.data(&k.sides[from], from, chunk, raw, seg, when); marked {
		body.marked, body.coding = true, coding
	}
	k.step(from, CallSays, when)
}

// over takes in how from ended.
func (k *take) over(e *eye, from exchange.Side, when time.Duration) {
	s := &k.sides[from]
	s.end = &exchange.End{How: exchange.How(min(e.num(), uint64(exchange.Left))), Code: uint32(e.num()), Err: e.str()}
	s.endAt = when
	if s.end.How == exchange.Complete || from == exchange.Server {
		k.step(from, CallEnd, when)
	}
	if k.socket != nil {
		k.socket.ended[from] = true
	}
	k.ended(from, when)
	if raw := e.bytes(); len(raw) > 0 {
		s.msg.RawEnd = bytes.Clone(raw)
	}
	s.end.Phase, s.end.Errno, s.end.Wait = exchange.Phase(e.str()), e.str(), e.dur()
}

// start begins a take.
func (t *tape) start(k takeKey, r *reel, when time.Duration) *take {
	take := &take{reel: r, start: when}
	t.takes = append(t.takes, take)
	t.open[k] = take
	return take
}

// head takes in the request's head, an interim answer or the final one.
func (k *take) head(h *exchange.Head, when time.Duration) {
	switch {
	case h.Status == 0:
		k.req = h
		k.framed(exchange.Client, h)
	case h.Status < 200 && h.Status != 101:
		k.interim = append(k.interim, Interim{h.Status, h.Reason, h.Fields, when - k.start})
	default:
		k.res, k.headAt = h, when
		k.framed(exchange.Server, h)
		k.step(exchange.Server, CallHead, when)
	}
}

// upgraded says whether what follows the heads is a stream of both sides.
func (k *take) upgraded() bool {
	return k.res != nil && upgrades(k.req, k.res.Status) || k.req != nil && isRaw(k.req)
}

// answers says whether what the server says is part of an answer.
func (k *take) answers() bool { return k.res != nil || k.upgraded() }

// upgrades says whether status turns the connection of req into a stream.
func upgrades(req *exchange.Head, status int) bool {
	return status == 101 || req != nil && req.Method == "CONNECT" && status/100 == 2
}

// speaker is where the next bytes of from go in an upgraded stream.
func (k *take) speaker(from exchange.Side, when time.Duration) *side {
	if n := len(k.talk); n == 0 || k.talk[n-1].from != from || k.talk[n-1].what != speaks {
		k.talk = append(k.talk, piece{from: from, at: when})
	}
	return &k.talk[len(k.talk)-1].side
}

// data takes a piece of body, or of an upgraded stream, in, and returns what it
// is part of.
func (k *take) data(s *side, from exchange.Side, chunk int64, raw []byte, seg segment, when time.Duration) *side {
	if k.upgraded() {
		s = k.speaker(from, when)
	}
	if seg.n > 0 {
		s.segments = append(s.segments, seg)
		s.size += seg.n
	}
	if chunk == 0 {
		return s
	}
	m := &s.msg
	n := chunkCount(m.Chunks)
	if len(raw) > 0 {
		if m.Lines == nil {
			m.Lines = map[int][]byte{}
		}
		m.Lines[n] = bytes.Clone(raw)
	}
	m.chunk(chunk)
	if n < timesMost && from == exchange.Server {
		m.times = append(m.times, when-k.headAt)
	}
	return s
}

// chunk adds a chunk of size bytes.
func (m *Message) chunk(size int64) {
	if last := len(m.Chunks) - 1; last >= 0 && m.Chunks[last].Size == size {
		m.Chunks[last].Count++
	} else {
		m.Chunks = append(m.Chunks, Run{size, 1})
	}
}

// piece adds a piece of a stream. What comes in the same millisecond, or behind
// the last one of which the arrival is kept, is part of the one before.
func (m *Message) piece(p Piece) {
	p.At = p.At.Truncate(time.Millisecond)
	if last := len(m.pieces) - 1; last >= 0 && (m.pieces[last].At == p.At || last+1 == timesMost) {
		m.pieces[last].Size += p.Size
	} else {
		m.pieces = append(m.pieces, p)
	}
}

// timesMost is of how many chunks, or pieces, the arrival is kept.
const timesMost = 1000

// chunkCount is how many chunks runs are.
func chunkCount(runs []Run) int {
	n := int64(0)
	for _, r := range runs {
		n += r.Count
	}
	return int(n)
}

// told says whether enough is known of the take to replay it: its request and
// how its answer ended. An answer whose end nobody saw, because it was not
// understood or we were killed, would be replayed as one that was cut. A stream
// that was open when we were killed is one that its client left.
func (k *take) told(killed bool) bool {
	if server := &k.sides[exchange.Server]; killed && k.res != nil && server.end == nil && !k.upgraded() && isStream(k.res.Fields) {
		server.end, server.endAt = &exchange.End{How: exchange.Left}, k.end
	}
	return k.req != nil && (k.raw() || k.failure() != nil || k.res != nil && (k.upgraded() || k.sides[exchange.Server].end != nil))
}

// closedBy is who ended an upgraded stream first.
func (k *take) closedBy() exchange.Side {
	client, server := &k.sides[exchange.Client], &k.sides[exchange.Server]
	if server.end == nil {
		return exchange.Client
	}
	// Of an HTTP/2 stream that a server resets both sides end at once.
	if client.endAt > server.endAt || client.endAt == server.endAt && server.end.How == exchange.Reset {
		return exchange.Server
	}
	return exchange.Client
}

// failure is why the take has no response, or nil.
func (k *take) failure() *Failure {
	end := k.sides[exchange.Server].end
	if k.res != nil || end == nil || end.How == exchange.Complete || k.raw() {
		return nil
	}
	s := &k.sides[exchange.Server]
	return failureOf(end, s.msg.RawEnd, s.endAt-k.start)
}

// body is what s sent, read from the journal when it is needed.
func (t *tape) body(s *side) Body {
	segs := s.segments
	open := func() (io.ReadCloser, error) {
		var rs []io.Reader
		for _, g := range segs {
			rs = append(rs, io.NewSectionReader(t.file, g.at, g.n))
		}
		return io.NopCloser(io.MultiReader(rs...)), nil
	}
	return Body{Size: s.size, open: open, marked: s.marked, coding: s.coding, frames: s.frames}
}

// whole is body, in memory if it is small enough to stand there.
func (t *tape) whole(s *side) (Body, error) {
	b := t.body(s)
	data, ok, err := b.Whole()
	if err != nil {
		return b, fmt.Errorf("read body from journal: %w", err)
	}
	if ok {
		b.data, b.open = data, nil
		return b.tidy(), nil
	}
	return b, nil
}
