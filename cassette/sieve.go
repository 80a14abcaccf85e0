package cassette

import (
	"errors"
	"io"
	"strings"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// A sieve takes the secrets out of what one side of a stream sends, before it is
// recorded. Plain text passes as a stream, of which only what may be part of a
// secret is held back; what has a content coding is spooled until its end.
type sieve struct {
	stream *secret.Stream
	coding string // "" if it passes as a stream
	spool  spool
	json   bool           // looked at as a whole, by JSONPath
	last   exchange.Event // what the rest is recorded as, without its data
	out    []byte         // in the cassette's form, if marked
	marked bool
}

type sieveKey struct {
	stream uint64
	from   exchange.Side
}

// expect notes how the body will come that e, a head, is before.
func (w *watch) expect(e exchange.Event) {
	status := e.Head.Status
	switch {
	case w.r.hide == nil, status != 0 && status < 200 && status != 101:
		return
	case isRaw(e.Head):
		w.talks[e.Stream] = &overheard{login: &login{}}
		return
	case e.Head.Method == "CONNECT":
		w.connects[e.Stream] = true
	case status == 101, w.connects[e.Stream] && status/100 == 2:
		w.talks[e.Stream] = &overheard{}
		if v, _ := exchange.Get(e.Head.Fields, "upgrade"); strings.EqualFold(v, "websocket") {
			w.talks[e.Stream].client = &unmasking{set: w.r.hide.set}
		}
		return
	}
	k := sieveKey{e.Stream, e.From}
	if fr, ok := structured(e.Head.Fields); ok {
		w.calls[k] = &listening{framing: fr}
		return
	}
	if c := coding(e.Head.Fields); c != "" {
		w.codings[k] = c
	}
	if w.r.hide.set.HasPaths() {
		ct, _ := exchange.Get(e.Head.Fields, "content-type")
		media, _, _ := strings.Cut(strings.ToLower(ct), ";")
		w.documents[k] = isJSON(strings.TrimSpace(media))
	}
}

// sieve is that of e's side of its stream.
func (w *watch) sieve(e exchange.Event) *sieve {
	k := sieveKey{e.Stream, e.From}
	s := w.sieves[k]
	if s == nil {
		if w.codings[k] == "" {
			w.codings[k] = codingOf(nil, e.Data)
		}
		s = &sieve{stream: w.r.hide.set.Stream(), coding: w.codings[k], json: w.documents[k]}
		w.sieves[k] = s
	}
	s.last = exchange.Event{Stream: e.Stream, From: e.From, Kind: exchange.KindData, At: e.At}
	return s
}

// sift records e's data without its secrets.
func (w *watch) sift(e exchange.Event) error {
	s := w.sieve(e)
	if len(e.Raw) > 0 {
		e.Raw = w.r.hide.raw(e.Raw)
	}
	data := e.Data
	if s.coding != "" || s.json {
		if e.Chunk != 0 { // how it was chunked is told now, what it is at its end
			e.Data = nil
			w.piece(e, false, "")
		}
		return s.spool.write(data)
	}
	w.pass(s, e, data, false)
	return nil
}

// pass records what is decided of data, with e's chunk.
func (w *watch) pass(s *sieve, e exchange.Event, data []byte, final bool) {
	told := false
	s.out, s.marked = s.out[:0], false
	s.stream.Next(data, final, func(text []byte, f *secret.Finding) {
		if f == nil && len(s.out) == 0 && len(text) == len(data) {
			e.Data = text // as most often: nothing in it
			w.piece(e, false, "")
			told = true
			return
		}
		if f != nil {
			text, s.marked = []byte(w.r.hide.mark(*f)), true
		}
		s.out = append(s.out, text...)
	})
	if !told && (len(s.out) > 0 || e.Chunk != 0) {
		e.Data = s.out
		w.piece(e, s.marked, "")
	}
}

// settle records what the sieve of k still holds: its side has ended.
func (w *watch) settle(k sieveKey) error {
	w.cut(k)
	s := w.sieves[k]
	delete(w.codings, k)
	delete(w.documents, k)
	if s == nil {
		return nil
	}
	delete(w.sieves, k)
	if s.coding == "" && !s.json {
		w.pass(s, s.last, nil, true)
		return nil
	}
	defer s.spool.close()
	return w.look(s)
}

// lookMost is how many bytes of what a coded body holds are looked at. What is
// behind is a bomb, or nothing that a person put a secret in.
const lookMost = 1 << 30

// look records a body that was spooled: as it came if there is no secret in what
// it holds, else what it holds, without them.
func (w *watch) look(s *sieve) error {
	clean := true
	err := w.each(s, func(_ []byte, f *secret.Finding) error {
		if f != nil && f.Class != secret.Literal {
			clean = false
			return errFound
		}
		return nil
	})
	switch {
	case clean && err == nil:
		return w.copySpool(s)
	case !errors.Is(err, errFound): // it cannot be decoded: its bytes are all there is
		s.coding, s.json = "", false
		return s.spool.each(func(b []byte) error { w.pass(s, s.last, b, false); return w.spill() }, func() { w.pass(s, s.last, nil, true) })
	}
	var out []byte
	flush := func() {
		e := s.last
		e.Data, out = out, out[:0]
		w.piece(e, true, s.coding)
	}
	err = w.each(s, func(text []byte, f *secret.Finding) error {
		if f != nil {
			text = []byte(w.r.hide.mark(*f))
		}
		if out = append(out, text...); len(out) >= flushAt {
			flush()
		}
		return w.spill()
	})
	flush()
	return err
}

// errFound ends a look: there is a secret.
var errFound = errors.New("found")

// copySpool records what was spooled as it is.
func (w *watch) copySpool(s *sieve) error {
	return s.spool.each(func(b []byte) error {
		e := s.last
		e.Data = b
		w.piece(e, false, "")
		return w.spill()
	}, func() {})
}

// documentMost is how large a JSON document may be, in bytes, for JSONPaths to be
// looked for in it.
const documentMost = 16 << 20

// each calls out with the text that s spooled, decoded, and the secrets in it.
func (w *watch) each(s *sieve, out func([]byte, *secret.Finding) error) error {
	r, err := s.spool.reader()
	if err != nil {
		return err
	}
	plain, err := partDecoder(r, s.coding)
	if err != nil {
		return err
	}
	defer plain.Close()
	if s.json && s.spool.size <= documentMost {
		return w.document(plain, out)
	}
	var failed error
	stream := w.r.hide.set.Stream()
	tell := func(text []byte, f *secret.Finding) {
		if failed == nil {
			failed = out(text, f)
		}
	}
	buf := make([]byte, pieceSize)
	for total := 0; failed == nil && total < lookMost; {
		n, err := plain.Read(buf)
		stream.Next(buf[:n], err == io.EOF, tell)
		total += n
		if err == io.EOF {
			return failed
		}
		if err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

// document is each of a JSON document, looked at as a whole.
func (w *watch) document(plain io.Reader, out func([]byte, *secret.Finding) error) error {
	b, err := io.ReadAll(io.LimitReader(plain, lookMost))
	if err != nil {
		return err
	}
	at := 0
	for _, f := range w.r.hide.set.FindJSON(b) {
		if err := out(b[at:f.From], nil); err != nil {
			return err
		}
		if err := out(b[f.From:f.To], &f); err != nil {
			return err
		}
		at = f.To
	}
	return out(b[at:], nil)
}

// spill writes what is recorded if that is much.
func (w *watch) spill() error {
	if len(w.pen.b) >= flushAt {
		return w.Flush()
	}
	return nil
}
