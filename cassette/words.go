package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// words are what the client said in an upgraded stream when it was recorded, while
// what it says now is compared with it: as one stream of bytes, however they come. A
// placeholder stands for what it is known to be, or else for what comes up to the
// bytes behind it.
type words struct {
	ms    []Message
	at    int                              // of ms: the client's piece that is not heard whole
	known func(mark string) (string, bool) // what a placeholder stands for in this run
	bound map[string]string                // what is found now that placeholders stand for
	heard int64                            // bytes that were as recorded

	login int  // of ms: the piece in which a MySQL client says which process it is, -1 if none is
	pids  bool // it was another

	open bool
	rest io.ReadCloser // of a piece without placeholders
	left int64         // bytes of rest
	cut  []word        // of one with placeholders: what is not heard
	held []byte        // of a secret that comes in

	want, got []byte // where they differ: from a little before it on
	differs   int    // where in both
	secret    bool   // what differs is a secret
}

// A word is a part of a piece with placeholders, or of a login.
type word struct {
	packet []byte // if that is not nil: a login
	text   string
	mark   string // if that is not "": a secret
	form   secret.Form
	sized  bool // its length stands before it, as in RESP, in place of text
}

// newWords are the words of ms.
func newWords(ms []Message, known func(mark string) (string, bool)) *words {
	w := &words{ms: ms, at: -1, known: known, bound: map[string]string{}, login: mysqlLogin(ms)}
	w.next()
	return w
}

// next goes to the next piece of the client.
func (w *words) next() {
	for w.at++; w.at < len(w.ms) && w.ms[w.at].From != exchange.Client; w.at++ {
	}
	w.close()
}

// close lets go of the piece that is being heard.
func (w *words) close() {
	if w.rest != nil {
		_ = w.rest.Close() // it was only read
	}
	w.open, w.rest, w.cut, w.held = false, nil, nil, nil
}

// begin opens the piece that is to be heard. It is false if there is none.
func (w *words) begin() (bool, error) {
	if w.at == len(w.ms) || w.ms[w.at].StartTLS || w.ms[w.at].HalfClose {
		return false, nil
	}
	if w.open {
		return true, nil
	}
	b := w.ms[w.at].Body
	w.open, w.left = true, b.Size
	var err error
	if w.at == w.login {
		data, _, err := b.Whole()
		w.cut = []word{{packet: data}}
		return err == nil, err
	}
	if !b.marked {
		w.rest, err = b.Open()
		return err == nil, err
	}
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return false, errors.Join(err, fmt.Errorf("a piece of %d bytes with secrets in it is too large to be compared", b.Size))
	}
	w.cut = cutWords(string(data))
	return true, nil
}

// cutWords cuts text, which is in the cassette's form, at its placeholders.
func cutWords(text string) []word {
	texts, marks := cutMarks(text)
	var out []word
	for i, t := range texts {
		t = unescape(t)
		var m word
		if i < len(marks) {
			m.mark, m.form = cutForm(marks[i])
			if head, ok := sized(t); ok {
				t, m.sized = head, true
			}
		}
		if t != "" {
			out = append(out, word{text: t})
		}
		if m.mark != "" {
			out = append(out, m)
		}
	}
	return out
}

// sized says whether text ends with the length of a bulk string of RESP, Redis's
// protocol, and what stands before that.
func sized(text string) (head string, ok bool) {
	line, ok := strings.CutSuffix(text, "\r\n")
	i := strings.LastIndexByte(line, '$')
	if !ok || i < 0 || i > 0 && line[i-1] != '\n' {
		return text, false
	}
	_, err := strconv.ParseUint(line[i+1:], 10, 32)
	return line[:i], err == nil
}

// hear says whether the client's next bytes b are those that were recorded.
func (w *words) hear(b []byte) (same bool, err error) {
	for len(b) > 0 {
		more, err := w.begin()
		if err != nil {
			return false, err
		}
		if !more {
			w.want, w.got, w.differs = nil, bytes.Clone(b), 0
			return false, nil
		}
		n, same, err := w.hearPiece(b)
		if !same || err != nil {
			return false, err
		}
		w.heard += int64(n)
		b = b[n:]
		if w.left == 0 && len(w.cut) == 0 {
			w.next()
		}
	}
	return true, nil
}

// hearPiece takes what it can of b for the piece that is open, and says how much.
func (w *words) hearPiece(b []byte) (int, bool, error) {
	if w.rest == nil {
		n, same := w.hearWord(b)
		w.left = int64(len(w.cut))
		return n, same, nil
	}
	want := make([]byte, min(int64(len(b)), w.left))
	if _, err := io.ReadFull(w.rest, want); err != nil {
		return 0, false, fmt.Errorf("read what was recorded: %w", err)
	}
	w.left -= int64(len(want))
	return len(want), w.equal(want, b), nil
}

// equal says whether b begins with want, and if not notes where they differ.
func (w *words) equal(want, b []byte) bool {
	n := 0
	for n < len(want) && n < len(b) && want[n] == b[n] {
		n++
	}
	if n == len(want) || n == len(b) {
		return true
	}
	from := max(0, n-aroundMost/2)
	w.want, w.got, w.differs = want[from:], bytes.Clone(b[from:min(len(b), n+aroundMost)]), n-from
	w.heard += int64(n)
	return false
}

// hearWord takes what it can of b for the next word.
func (w *words) hearWord(b []byte) (int, bool) {
	v := w.cut[0]
	if v.packet != nil {
		return w.hearLogin(b, v.packet)
	}
	if v.mark == "" {
		n := min(len(v.text), len(b))
		if !w.equal([]byte(v.text), b) {
			return 0, false
		}
		w.said(n)
		return n, true
	}
	value, ok := w.bound[v.mark]
	if !ok {
		value, ok = w.known(v.mark)
	}
	if !ok {
		return w.hearSecret(b, v)
	}
	value = v.form.Encode(value)
	if v.sized {
		value = "$" + strconv.Itoa(len(value)) + "\r\n" + value
	}
	w.cut[0] = word{text: value}
	n, same := w.hearWord(b)
	w.secret = !same
	return n, same
}

// hearLogin takes what it can of b for packet, which is of another process perhaps.
func (w *words) hearLogin(b, packet []byte) (int, bool) {
	before := len(w.held)
	w.held = append(w.held, b...)
	if len(w.held) < mysqlHead || len(w.held) < mysqlSize(w.held) && len(w.held) <= wholeMost {
		return len(b), true
	}
	live := w.held[:min(len(w.held), mysqlSize(w.held))]
	was, ok := withoutPID(packet)
	is, ok2 := withoutPID(live)
	if !bytes.Equal(live, packet) && !(ok && ok2 && bytes.Equal(was, is)) {
		return 0, w.equal(packet, live)
	}
	w.pids = w.pids || !bytes.Equal(live, packet)
	w.held, w.cut = nil, nil
	return len(live) - before, true
}

// said takes n bytes off the next word, which is text.
func (w *words) said(n int) {
	if w.cut[0].text = w.cut[0].text[n:]; w.cut[0].text == "" {
		w.cut = w.cut[1:]
	}
}

// hearSecret takes what it can of b for v, a secret of which it is not known what it is in this
// run. It ends where its length says, or else where what follows begins, or with b.
func (w *words) hearSecret(b []byte, v word) (int, bool) {
	before := len(w.held)
	w.held = append(w.held, b...)
	from, to := 0, -1
	switch {
	case v.sized:
		from, to = bulk(w.held)
	case len(w.cut) == 1:
		to = len(w.held)
	default:
		follows := w.cut[1].text
		to = bytes.Index(w.held, []byte(follows[:min(len(follows), aroundMost)]))
	}
	switch {
	case to < 0 && len(w.held) > secret.Most:
		w.want, w.got, w.secret = nil, nil, true
		return 0, false
	case to < 0:
		return len(b), true
	}
	w.bound[v.mark] = v.form.Decode(string(w.held[from:to]))
	w.held, w.cut = nil, w.cut[1:]
	return to - before, true
}

// bulk is where the value of a bulk string of RESP stands in b, which begins with it; to
// is -1 if it is not all there.
func bulk(b []byte) (from, to int) {
	line, _, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(line) == 0 || line[0] != '$' {
		return 0, -1
	}
	n, err := strconv.ParseUint(string(line[1:]), 10, 32)
	from = len(line) + 2
	if err != nil || uint64(len(b)-from) < n {
		return 0, -1
	}
	return from, from + int(n)
}

// aroundMost is how many bytes are shown behind a difference, and twice as many as before it.
const aroundMost = 16

// difference tells where the client said something else than was recorded.
func (w *words) difference() string {
	switch {
	case w.secret:
		return fmt.Sprintf("the client said another secret at byte %d", w.heard)
	case len(w.want) == 0:
		return fmt.Sprintf("the client said more than was recorded, from byte %d on: %s", w.heard, around(w.got))
	}
	return fmt.Sprintf("the client said something else at byte %d: recorded %s, said %s", w.heard, around(w.want), around(w.got))
}

// around is the beginning of b, in hex and as text.
func around(b []byte) string {
	b = b[:min(len(b), aroundMost+aroundMost/2)]
	return fmt.Sprintf("% x %q", b, b)
}
