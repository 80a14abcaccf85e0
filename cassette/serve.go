package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// serve gives l the answer that k claimed. The claim counts if the client got a
// byte of it.
func (y *play) serve(l *live, k *pick, answer func(exchange.Event) error) error {
	taken := false
	tell := func(e exchange.Event) error {
		e.Stream, e.From = l.stream, exchange.Server
		err := answer(e)
		taken = taken || err == nil
		return err
	}
	l.answered = true
	i, err := l.p.answered(l, k.slot.it, k.ids)
	if err == nil {
		if i.WebSocket != nil {
			l.dialogue = newDialogue(y, l, k, i)
		}
		err = l.p.perform(l, i, l.p.opt.Latency.schedule(i, k.nth, l.p.c.Name), tell)
	}
	if taken && !errors.Is(err, exchange.ErrUndelivered) {
		l.p.commit(k)
		l.p.note(k.slot.it)
	} else {
		l.p.giveBack(k)
	}
	return err
}

// perform tells l the answer of i, as s has it.
func (p *Player) perform(l *live, i *Interaction, s *schedule, tell func(exchange.Event) error) error {
	r := i.Response
	if r == nil {
		end := i.Failure.end()
		end.Err = expand(end.Err, p.value)
		return tell(exchange.Event{Kind: exchange.KindEnd, End: end, Raw: p.filled(i.Failure.Raw), Pause: s.until(i.Failure.After)})
	}
	i, err := p.filledAnswer(i)
	if err != nil {
		return fmt.Errorf("serve body of %s: %w", i.ID, err)
	}
	r = i.Response
	sent := l.interim
	for _, m := range r.Informational {
		if m.Status == 100 && (sent || expects(&i.Request) && !expects(&l.req)) {
			sent = false // it was ours, in place of the recorded one
			continue
		}
		m.Fields = p.fill(m.Fields)
		e := m.event(l)
		e.Pause = s.until(m.At - i.Timing.Send)
		if err := tell(e); err != nil {
			return err
		}
	}
	head, chunked := p.head(l, i)
	if err := tell(exchange.Event{Kind: exchange.KindHead, Head: head, Framed: l.dialogue != nil, Pause: s.until(i.Timing.Wait)}); err != nil {
		return err
	}
	if l.dialogue != nil {
		return l.dialogue.speak(tell)
	}
	if upgrades(&exchange.Head{Method: i.Request.Method}, r.Status) {
		l.talk = newTalk(p, &slot{it: i})
		return l.talk.speak(l, tell)
	}
	if err := sendBody(r, chunked, s, tell); err != nil {
		return fmt.Errorf("serve body of %s: %w", i.ID, err)
	}
	return p.conclude(i, l.version, chunked, tell)
}

// conclude tells a client of the given version how the answer of i ended, behind
// its body.
func (p *Player) conclude(i *Interaction, version string, chunked bool, tell func(exchange.Event) error) error {
	r := i.Response
	if r.End == exchange.Complete && (chunked || len(r.Trailers) > 0 && !strings.HasPrefix(version, "1")) {
		e := exchange.Event{Kind: exchange.KindTrailers, Fields: p.fill(r.Trailers)}
		if chunked {
			e.Raw = p.filled(r.RawEnd)
		}
		if err := tell(e); err != nil {
			return err
		}
	}
	end := exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{How: r.End, Code: r.EndCode, Wait: i.listened(), Conn: version == "2" && r.endsConn()}}
	if r.End != exchange.Complete {
		end.Raw = p.filled(r.RawEnd)
	}
	return tell(end)
}

// endsConn says whether r ended with its HTTP/2 connection: a stream that ends
// before it does has a code, unless that was NO_ERROR.
func (r *Response) endsConn() bool {
	return r.End == exchange.Truncated || r.End == exchange.Reset && r.EndCode == 0
}

// filledAnswer is i with the placeholders in its answer's body filled in.
func (p *Player) filledAnswer(i *Interaction) (*Interaction, error) {
	lines := i.Response.Lines
	if !i.Response.Body.marked && len(lines) == 0 {
		return i, nil
	}
	was, r := *i, *i.Response
	r.Lines = map[int][]byte{}
	for n, l := range lines {
		r.Lines[n] = p.filled(l)
	}
	var err error
	r.Body, err = r.Body.filled(p.value)
	was.Response = &r
	return &was, err
}

// expects says whether r's client waits for leave to send its body.
func expects(r *Request) bool {
	v, _ := exchange.Get(r.Fields, "expect")
	return strings.EqualFold(v, "100-continue")
}

// filled is raw, a part of an HTTP/1 message, with its placeholders filled in.
func (p *Player) filled(raw []byte) []byte {
	if len(raw) == 0 {
		return nil
	}
	return []byte(expand(string(raw), p.value))
}

// fill is fields with their placeholders filled in.
func (p *Player) fill(fields []exchange.Field) []exchange.Field {
	out := make([]exchange.Field, len(fields))
	for i, f := range fields {
		out[i] = exchange.Field{Name: f.Name, Value: expand(f.Value, p.value)}
	}
	return out
}

// head is i's response head for l, and whether its body is chunked.
func (p *Player) head(l *live, i *Interaction) (*exchange.Head, bool) {
	r := i.Response
	h := &exchange.Head{Status: r.Status, Reason: expand(r.Reason, p.value), Version: r.Version, Fields: p.fill(r.Fields)}
	if h.Version == "" {
		h.Version = i.Request.Version
	}
	h.Raw = p.filled(r.RawHead)
	if !p.opt.KeepDates {
		shiftDates(h, p.c.RecordedAt, time.Now())
	}
	bodied := l.req.Method != "HEAD" && r.Status >= 200 && r.Status != 204 && r.Status != 304 && r.End == exchange.Complete &&
		!(l.req.Method == "CONNECT" && r.Status/100 == 2)
	if n, ok := exchange.Get(h.Fields, "content-length"); ok && bodied && n != strconv.FormatInt(r.Body.Size, 10) {
		setField(h, "content-length", strconv.FormatInt(r.Body.Size, 10)) // the body was edited
	}
	recorded := h.Version
	h = translated(h, l.version)
	te, _ := exchange.Get(h.Fields, "transfer-encoding")
	_, length := exchange.Get(h.Fields, "content-length")
	if bodied && !length && te == "" && strings.HasPrefix(l.version, "1") && !strings.HasPrefix(recorded, "1") {
		if l.version == "1.0" {
			h.Fields = append(h.Fields, exchange.Field{Name: "connection", Value: "close"})
		} else {
			te = "chunked"
			h.Fields = append(h.Fields, exchange.Field{Name: "transfer-encoding", Value: te})
		}
	}
	none := l.req.Method == "HEAD" || r.Status == 204 || r.Status == 304 || r.Status == 101
	return h, !none && strings.HasSuffix(strings.ToLower(te), "chunked")
}

// setField changes the field called name, for good: its raw form is gone.
func setField(h *exchange.Head, name, value string) {
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			h.Fields[i].Value = value
		}
	}
	h.Raw = nil
}

// translated is h, recorded over its version of HTTP, as it is said over
// another. Between 1.0 and 1.1 nothing changes, but that a client of 1.0 gets
// no chunks.
func translated(h *exchange.Head, version string) *exchange.Head {
	from, to := strings.HasPrefix(h.Version, "1"), strings.HasPrefix(version, "1")
	te, _ := exchange.Get(h.Fields, "transfer-encoding")
	switch {
	case h.Version == version, from && to && (version != "1.0" || te == ""):
		return h
	case from && to:
		fields := without(h.Fields, "transfer-encoding", "connection", "trailer")
		return &exchange.Head{Status: h.Status, Reason: h.Reason, Version: h.Version, Fields: append(fields, exchange.Field{Name: "Connection", Value: "close"})}
	case to:
		return &exchange.Head{Status: h.Status, Reason: http.StatusText(h.Status), Version: "1.1", Fields: h.Fields}
	}
	named := []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, "connection") {
			for t := range strings.SplitSeq(f.Value, ",") {
				named = append(named, strings.ToLower(strings.TrimSpace(t)))
			}
		}
	}
	out := &exchange.Head{Status: h.Status, Version: version, Fields: without(h.Fields, named...)}
	for i := range out.Fields {
		out.Fields[i].Name = strings.ToLower(out.Fields[i].Name)
	}
	return out
}

// without is fields but for those named, in lower case.
func without(fields []exchange.Field, names ...string) []exchange.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f exchange.Field) bool {
		return slices.Contains(names, strings.ToLower(f.Name))
	})
}

// pieceSize is how much of a body is held in memory while it is served, in bytes.
const pieceSize = 32 << 10

// sendBody tells r's body, in the chunks that it was recorded in.
func sendBody(r *Response, chunked bool, when *schedule, tell func(exchange.Event) error) error {
	s := sender{held: r.Body.data, left: r.Body.Size, when: when, tell: tell}
	if r.Body.open != nil {
		body, err := r.Body.Open()
		if err != nil {
			return err
		}
		defer body.Close()
		s.from, s.buf = io.LimitReader(body, r.Body.Size), make([]byte, min(pieceSize, max(r.Body.Size, 1)))
	}
	ct, _ := exchange.Get(r.Fields, "content-type")
	pieces := when.pieces(r.Body.Size)
	s.events = when != nil && pieces == nil && when.of.Timing.Chunks == nil && strings.HasPrefix(ct, "text/event-stream")
	for _, p := range pieces {
		s.pause = when.until(when.of.Timing.Wait + p.At)
		size := int64(0)
		if chunked {
			size = p.Size
		}
		if err := s.send(p.Size, size, nil); err != nil {
			return err
		}
	}
	if !chunked {
		return s.send(s.left, 0, nil)
	}
	n := 0
	if r.chunksFit() {
		for _, run := range r.Chunks {
			for range run.Count {
				if s.left == 0 {
					return nil // of a truncated body; a file may say any count
				}
				s.pause = when.chunk(n)
				if err := s.send(run.Size, run.Size, r.Lines[n]); err != nil {
					return err
				}
				n++
			}
		}
	}
	for s.left > 0 { // edited, or recorded where there are no chunks
		size := min(s.left, pieceSize)
		if err := s.send(size, size, nil); err != nil {
			return err
		}
	}
	return nil
}

// chunksFit says whether the recorded chunks add up to the body; the last of a
// truncated one may not be all there.
func (m *Response) chunksFit() bool {
	total := int64(0)
	for _, r := range m.Chunks {
		total += r.Size * r.Count
	}
	return total == m.Body.Size || m.End != exchange.Complete && total > m.Body.Size
}

// A sender tells a body in pieces.
type sender struct {
	held []byte    // what is left of a body in memory
	from io.Reader // of any other
	buf  []byte
	left int64
	when *schedule
	// pause is before the next piece, where the recording says when that came.
	pause time.Duration
	// events has a piece of what is held end with a server-sent event, so that
	// each comes in its time.
	events bool
	tell   func(exchange.Event) error
}

// next is the next piece, of up to n bytes.
func (s *sender) next(n int64) ([]byte, error) {
	if s.from != nil {
		k, err := s.from.Read(s.buf[:min(n, int64(len(s.buf)))])
		return s.buf[:k], err
	}
	if len(s.held) == 0 {
		return nil, io.EOF
	}
	b := s.held[:min(n, pieceSize, int64(len(s.held)))]
	if end := bytes.Index(b, []byte("\n\n")); s.events && end >= 0 {
		b = b[:end+2]
	}
	s.held = s.held[len(b):]
	return b, nil
}

// send tells the next n bytes, of a chunk of the given size if it is not zero.
func (s *sender) send(n, chunk int64, line []byte) error {
	for n = min(n, s.left); n > 0; {
		b, err := s.next(n)
		if k := int64(len(b)); k > 0 {
			e := exchange.Event{Kind: exchange.KindData, Data: b, Chunk: chunk, Raw: bytes.Clone(line), Pause: s.pause + s.when.piece(s.left)}
			if err := s.tell(e); err != nil {
				return err
			}
			n, s.left, chunk, line, s.pause = n-k, s.left-k, 0, nil, 0
		}
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return io.ErrUnexpectedEOF
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
	}
	return nil
}
