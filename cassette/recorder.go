package cassette

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/serge-net/serge-net/cassette/descriptor"
	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// ErrClosed is returned for what comes after a Recorder was closed.
var ErrClosed = errors.New("cassette: recorder is closed")

// ErrIncomplete is wrapped by Close when part of what happened is not in the
// recording.
var ErrIncomplete = errors.New("cassette: recording is incomplete")

// RecordOptions says how a recording is made.
type RecordOptions struct {
	With   string // the program and its version, for recorded_with
	Append bool   // keep the old interactions and add to them
	Format Format // of a cassette that is not there yet; empty means JSON
	// Exact turns quiet re-recording off: every interaction is written as it
	// came, though only timing and volatile headers differ.
	Exact bool
	// Encrypt makes the cassette an encrypted one, in place of one that is not.
	// The Store needs a key then. One that is encrypted stays so without it.
	Encrypt bool
	// Lean keeps of a body with content coding what it decodes to and not the
	// encoded bytes, which a replay makes anew, except where a digest or a range
	// is of those.
	Lean bool
	// Peers has every interaction say between whom it was: Interaction.Peer.
	Peers bool
	// Start is when what is told began, if that is not now: it is a recording
	// that was made elsewhere. Times of Events then count from it, not from when
	// their connection was opened. Zero means now.
	Start time.Time
	// Merge keeps the old interactions that equal nothing of this recording, in
	// their places: what was not asked for this time may still be.
	Merge bool
	// Renew dates the cassette anew though nothing in it changed.
	Renew bool
	// Command is the program that is recorded: see Cassette.Command. A cassette
	// that has one keeps it. "" says nothing.
	Command string
	// Descriptors are what the fields of messages of gRPC are called, beside what their
	// servers tell by reflection: it is how the cassette shows them. Nil is nothing.
	Descriptors *descriptor.Set
	// Redact says what is a secret and so not written.
	Redact Redaction
}

// A Recorder writes what it is told to a journal, and makes it a cassette on
// Close. It is safe for concurrent use. It implements exchange.Watcher.
type Recorder struct {
	store *Store
	name  string
	opt   RecordOptions
	start time.Time
	file  *os.File
	seal  *sealing                  // what the journal is encrypted by, or nil
	write func([]byte) (int, error) // to file, but for tests

	mu      sync.Mutex
	err     error // the first failed write; no write follows it
	closed  bool
	conns   uint64
	secrets secrets
	own     pen    // records of no connection
	hide    *hider // nil: nothing is hidden
}

// Open starts to watch one connection. The Watch is used by one goroutine at a time.
func (r *Recorder) Open(o exchange.Origin) (exchange.Watch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.stopped(); err != nil {
		return nil, err
	}
	r.conns++
	w := &watch{r: r, id: r.conns, sieves: map[sieveKey]*sieve{}, codings: map[sieveKey]string{}, documents: map[sieveKey]bool{},
		talks: map[uint64]*overheard{}, connects: map[uint64]bool{}, paced: map[uint64]bool{}, voices: map[sieveKey]*secret.Stream{}, calls: map[sieveKey]*listening{}}
	w.pen.begin(recConn)
	w.pen.num(w.id)
	w.pen.dur(r.elapsed())
	w.pen.str(o.Addr.String())
	w.pen.str(o.Name)
	w.pen.str(o.SNI)
	w.pen.flag(o.TLS)
	w.pen.str(o.ALPN)
	w.pen.strs(o.Names)
	w.pen.num(uint64(o.Caller.PID))
	w.pen.str(o.Caller.Command)
	w.pen.end()
	return w, nil
}

// elapsed is how far into the recording a connection that opens now is.
func (r *Recorder) elapsed() time.Duration {
	if !r.opt.Start.IsZero() {
		return 0
	}
	return time.Since(r.start)
}

// origin reads what Open wrote after the id and the time.
func (e *eye) origin() exchange.Origin {
	var o exchange.Origin
	o.Addr, _ = netip.ParseAddrPort(e.str())
	o.Name, o.SNI, o.TLS = e.str(), e.str(), e.num() == 1
	o.ALPN, o.Names = e.str(), e.strs()
	o.Caller.PID, o.Caller.Command = int(e.num()), e.str()
	return o
}

// DNS records an answer that a replay gives again.
func (r *Recorder) DNS(d DNS) error {
	if r.hide != nil {
		d.Name, d.Answers, d.Authority, d.Additional = r.hide.text(d.Name), r.hide.all(d.Answers), r.hide.all(d.Authority), r.hide.all(d.Additional)
	}
	return r.note(func(p *pen) {
		p.begin(recDNS)
		for _, s := range []string{d.Name, d.Type, d.Rcode} {
			p.str(s)
		}
		for _, ss := range [][]string{d.Answers, d.Authority, d.Additional} {
			p.strs(ss)
		}
		p.end()
	})
}

func (e *eye) dns() DNS {
	return DNS{e.str(), e.str(), e.str(), e.strs(), e.strs(), e.strs()}
}

// Pin records the addresses that a name was given.
func (r *Recorder) Pin(n Pin) error {
	return r.note(func(p *pen) {
		p.begin(recPin)
		p.str(n.Name)
		p.str(addrText(n.V4))
		p.str(addrText(n.V6))
		p.end()
	})
}

func (e *eye) pin() Pin {
	p := Pin{Name: e.str()}
	p.V4, _ = netip.ParseAddr(e.str())
	p.V6, _ = netip.ParseAddr(e.str())
	return p
}

// addrText is a's text, "" if it is not valid.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// note writes records that belong to no connection.
func (r *Recorder) note(f func(*pen)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.stopped(); err != nil {
		return err
	}
	r.own.b = r.own.b[:0]
	f(&r.own)
	return r.append(r.own.b)
}

// stopped is why nothing more is recorded, or nil. The caller holds mu.
func (r *Recorder) stopped() error {
	if r.closed {
		return ErrClosed
	}
	return r.err
}

// append hands b to the kernel. The caller holds mu: records of different
// connections do not mix, and a torn one is the last.
func (r *Recorder) append(b []byte) error {
	if err := r.stopped(); err != nil {
		return err
	}
	n, err := r.write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		r.err = fmt.Errorf("record %s: write journal: %w", r.name, err)
	}
	return r.err
}

// substitute gives the placeholder of a secret.
func (r *Recorder) substitute(class, value string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	mark, fresh := r.secrets.mark(class, value)
	if fresh {
		r.hide.set.Learn(secret.Known{Class: class, Value: value})
		r.own.b = r.own.b[:0]
		r.own.begin(recSecret)
		r.own.str(mark)
		r.own.str(shapeOf(value))
		r.own.end()
		_ = r.append(r.own.b) // kept in r.err: the event that brought it reports it
	}
	return mark
}

// flushAt is how many bytes a watch holds before it writes without being told.
const flushAt = 128 << 10

// watch is one connection's part of the journal.
type watch struct {
	r      *Recorder
	id     uint64
	pen    pen
	fields []exchange.Field // the last ones redacted

	sieves    map[sieveKey]*sieve         // of the sides that have sent data
	codings   map[sieveKey]string         // of the bodies that come, if they have any
	documents map[sieveKey]bool           // the bodies that come and are looked at as a whole
	talks     map[uint64]*overheard       // by stream
	voices    map[sieveKey]*secret.Stream // of the messages of WebSockets that are open
	connects  map[uint64]bool             // the streams whose request is CONNECT
	paced     map[uint64]bool             // those whose answer is a stream without chunks
	calls     map[sieveKey]*listening     // of the sides that send messages of calls
}

// redacted is fields in the cassette's form, until the next call.
func (w *watch) redacted(fields []exchange.Field) []exchange.Field {
	w.fields = w.r.hide.fields(w.fields[:0], fields)
	return w.fields
}

// Event records e. It reaches the kernel with the next Flush, or earlier.
func (w *watch) Event(e exchange.Event) error {
	p := &w.pen
	w.pace(e)
	switch e.Kind {
	case exchange.KindHead:
		h := *e.Head
		w.expect(e)
		h.Target, h.Authority, h.Reason = w.r.hide.text(h.Target), w.r.hide.text(h.Authority), w.r.hide.text(h.Reason)
		h.Fields = w.redacted(h.Fields)
		h.Raw = w.r.hide.raw(h.Raw)
		w.begin(recHead, e)
		p.head(&h)
		p.flag(e.Framed)
		p.end()
	case exchange.KindData:
		if err := w.data(e); err != nil {
			return err
		}
	case exchange.KindMessage:
		w.message(e)
	case exchange.KindTLS:
		w.turned(e)
	case exchange.KindTrailers:
		if err := w.settle(sieveKey{e.Stream, e.From}); err != nil {
			return err
		}
		fields := w.redacted(e.Fields)
		w.begin(recTrails, e)
		p.fields(fields)
		p.bytes(w.r.hide.raw(e.Raw))
		p.end()
	case exchange.KindEnd:
		if err := w.settle(sieveKey{e.Stream, e.From}); err != nil {
			return err
		}
		w.hush(e)
		if o := w.talks[e.Stream]; o != nil {
			o.ends(e)
			w.understand(o, e.From, nil, true)
			break
		}
		w.ended(e)
	}
	if len(p.b) >= flushAt {
		return w.Flush()
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.stopped()
}

// ended records e, an End.
func (w *watch) ended(e exchange.Event) {
	p := &w.pen
	w.begin(recEnd, e)
	p.num(uint64(e.End.How))
	p.num(uint64(e.End.Code))
	p.str(w.r.hide.text(e.End.Err))
	p.bytes(w.r.hide.raw(e.Raw))
	p.str(string(e.End.Phase))
	p.str(e.End.Errno)
	p.dur(e.End.Wait)
	p.end()
}

// data records a piece of body.
func (w *watch) data(e exchange.Event) error {
	w.hush(e)
	if len(e.Data) == 0 {
		w.piece(e, false, "") // that it is no WebSocket begins here
		return nil
	}
	if o := w.talks[e.Stream]; o != nil {
		w.overhear(o, e)
		return nil
	}
	if k := w.calls[sieveKey{e.Stream, e.From}]; k != nil {
		w.listen(k, e)
		return nil
	}
	if w.r.hide != nil {
		return w.sift(e)
	}
	w.piece(e, false, "")
	return nil
}

// piece records e's data, cut where it is larger than a record may be. If it is
// marked it is in the cassette's form, and coding was undone.
func (w *watch) piece(e exchange.Event, marked bool, coding string) {
	typ := byte(recData)
	if marked {
		typ = recMarked
	}
	for first := true; first || len(e.Data) > 0; first = false {
		n := min(len(e.Data), recordMost)
		w.begin(typ, e)
		w.pen.num(uint64(e.Chunk))
		w.pen.bytes(e.Raw)
		if marked {
			w.pen.str(coding)
		}
		w.pen.b = append(w.pen.b, e.Data[:n]...)
		w.pen.end()
		e.Data, e.Chunk, e.Raw = e.Data[n:], 0, nil
	}
}

// begin starts a record of an event.
func (w *watch) begin(typ byte, e exchange.Event) {
	w.pen.begin(typ)
	w.pen.num(w.id)
	w.pen.num(e.Stream)
	w.pen.num(uint64(e.From))
	w.pen.dur(e.At)
}

// Flush hands what was told so far to the kernel.
func (w *watch) Flush() error {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if len(w.pen.b) == 0 {
		return w.r.stopped()
	}
	err := w.r.append(w.pen.b)
	w.pen.b = w.pen.b[:0]
	if cap(w.pen.b) > 2*recordMost {
		w.pen.b = nil
	}
	return err
}

// Close records what is held back, and flushes.
func (w *watch) Close() error {
	for k := range w.calls {
		w.cut(k)
	}
	for k := range w.sieves {
		if err := w.settle(k); err != nil {
			return err
		}
	}
	for _, o := range w.talks {
		w.understand(o, exchange.Client, nil, true)
		w.understand(o, exchange.Server, nil, true)
	}
	return w.Flush()
}
