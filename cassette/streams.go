package cassette

import (
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// isStream says whether a response with fields is one that is read as it comes,
// and may have no end.
func isStream(fields []exchange.Field) bool {
	switch media, _ := mediaOf(fields); media {
	case "text/event-stream", "multipart/x-mixed-replace", "application/json-seq":
		return true
	default:
		return isLines(media) && !isJSON(media)
	}
}

// left says whether r is a stream that its client left, as it has to at some time.
func (r *Response) left() bool { return r.End == exchange.Left && isStream(r.Fields) }

// pace records when each piece of an answer comes that is a stream and has no
// chunks: their data may be recorded later, when it is known what is in it.
func (w *watch) pace(e exchange.Event) {
	if e.From != exchange.Server {
		return
	}
	switch e.Kind {
	case exchange.KindHead:
		if _, framed := exchange.Get(e.Head.Fields, "transfer-encoding"); e.Head.Status >= 200 && !framed && isStream(e.Head.Fields) {
			w.paced[e.Stream] = true
		}
	case exchange.KindData:
		if w.paced[e.Stream] && len(e.Data) > 0 {
			w.begin(recPiece, e)
			w.pen.num(uint64(len(e.Data)))
			w.pen.end()
		}
	case exchange.KindEnd:
		delete(w.paced, e.Stream)
	}
}

// listenLeast is how long a client at least listened to a stream that it left, for
// what it is kept waiting in a replay: beside listening it does other things there,
// which may take longer than when it was recorded.
const listenLeast = 30 * time.Second

// listened is how long the client of i, which left before the answer's end, had
// waited for that.
func (i *Interaction) listened() time.Duration {
	waited := i.Timing.Send + i.Timing.Wait + i.Timing.Receive
	if isStream(i.Response.Fields) {
		waited = max(waited, listenLeast)
	}
	return waited
}

// bodies says whether the bodies of two responses are the same. Of answers that
// their client left, one may be the beginning of the other: how much came until
// then is chance.
func (t *trial) bodies(a, b *Response) bool {
	x, y := content{a.Body, a.Fields}, content{b.Body, b.Fields}
	if t.body(x, y) {
		return true
	}
	if a.End != exchange.Left || b.End != exchange.Left || !isStream(a.Fields) || a.Body.marked != b.Body.marked {
		return false
	}
	p, q := x.beginning(), y.beginning()
	if len(p) > len(q) {
		p, q = q, p
	}
	return len(p) > 0 && t.text(string(p), string(q[:len(p)]))
}

// beginning is what came of b, its content coding undone as far as it goes; none
// if that is more than can be held.
func (b content) beginning() []byte {
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return nil
	}
	plain, _, ok := decodedPart(data, b.wired(coding(b.fields)), wholeMost)
	if !ok {
		return nil
	}
	return plain
}
