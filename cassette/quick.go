package cassette

import (
	"io"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// quick reads an interaction's payload, the nth, as decode does, without making a
// tree of it: it takes a tenth of the time. It does so for what it knows every
// member of, which most are, and is false for any other. The key is left out.
func (t *twin) quick(b string, nth int) (*Interaction, bool) {
	q := quickReader{unpacker: unpacker{s: b}, t: t}
	var all struct {
		Interaction
		response Response
	}
	i := &all.Interaction
	i.Seq = nth + 1
	q.object(func(key string) {
		switch key {
		case "id":
			i.ID = q.str()
		case "kind":
			q.check(q.str() == "http")
		case "seq":
			i.Seq = int(q.int())
		case "connection":
			label := q.str()
			c, ok := t.profiles[label]
			q.check(ok || label == "")
			i.Connection = c
		case "request":
			q.request(&i.Request)
		case "response":
			i.Response = &all.response
			q.response(i.Response)
		case "timing":
			q.timing(&i.Timing)
		default:
			q.check(false)
		}
	})
	i.frameBodies()
	r := &i.Request
	if q.bad != "" || q.i != len(b) || i.Response == nil || r.Method == "" || r.URL == "" || i.Seq == 0 || i.Response.Status < 100 || i.Response.Status > 999 {
		return nil, false
	}
	return i, true
}

// A quickReader reads what is written most. Its first surprise is its last.
type quickReader struct {
	unpacker
	t *twin
}

func (q *quickReader) check(ok bool) {
	if !ok {
		q.fail("not of the usual kind")
	}
}

// size reads the header of a value of up to 15 elements, or below 1<<16: fix says
// the first form, two the second.
func (q *quickReader) size(lead, fix, two byte) int {
	switch {
	case lead&0xf0 == fix:
		return int(lead & 0x0f)
	case lead == two:
		return int(q.number(2))
	}
	q.check(false)
	return 0
}

// lead is the byte that a value begins with.
func (q *quickReader) lead() byte {
	if b := q.take(1); b != "" {
		return b[0]
	}
	return 0xc1 // that no value begins with
}

func (q *quickReader) object(member func(key string)) {
	for n := q.size(q.lead(), 0x80, 0xde); n > 0 && q.bad == ""; n-- {
		member(q.str())
	}
}

func (q *quickReader) str() string {
	switch c := q.lead(); {
	case c&0xe0 == 0xa0:
		return q.take(uint64(c & 0x1f))
	case c == 0xd9:
		return q.take(q.number(1))
	case c == 0xda:
		return q.take(q.number(2))
	}
	q.check(false)
	return ""
}

func (q *quickReader) int() int64 {
	switch c := q.lead(); {
	case c < 0x80:
		return int64(c)
	case c == 0xd2:
		return int64(int32(q.number(4)))
	case c == 0xd3:
		return int64(q.number(8))
	}
	q.check(false)
	return 0
}

func (q *quickReader) bin() []byte {
	switch q.lead() {
	case 0xc4:
		return []byte(q.take(q.number(1)))
	case 0xc5:
		return []byte(q.take(q.number(2)))
	case 0xc6:
		return []byte(q.take(q.number(4)))
	}
	q.check(false)
	return nil
}

func (q *quickReader) request(r *Request) {
	q.object(func(key string) {
		switch key {
		case "method":
			r.Method = q.str()
		case "url":
			r.URL = q.str()
		default:
			q.shared(key, &r.Version, &r.Fields, &r.Message)
		}
	})
}

func (q *quickReader) response(r *Response) {
	q.object(func(key string) {
		switch key {
		case "status":
			r.Status = int(q.int())
		case "reason":
			r.Reason = q.str()
		default:
			q.shared(key, &r.Version, &r.Fields, &r.Message)
		}
	})
}

// shared reads the member key, one that requests and responses have alike.
func (q *quickReader) shared(key string, version *string, fields *[]exchange.Field, m *Message) {
	switch key {
	case "http_version":
		*version = q.str()
	case "headers":
		*fields = q.fields()
	case "body":
		q.body(m)
	default:
		q.check(false)
	}
}

func (q *quickReader) fields() []exchange.Field {
	n := q.size(q.lead(), 0x90, 0xdc)
	if n > len(q.s)-q.i {
		q.check(false)
		return nil
	}
	out := make([]exchange.Field, n)
	for k := range out {
		q.check(q.lead() == 0x92)
		out[k] = exchange.Field{Name: q.str(), Value: q.str()}
	}
	return out
}

// body reads a body that is in the record or in the file, with its chunks.
func (q *quickReader) body(m *Message) {
	if q.i < len(q.s) && q.s[q.i] == 0xc0 {
		q.i++
		return
	}
	var at int64
	q.object(func(key string) {
		switch key {
		case "bytes":
			m.Body.data = q.bin()
			m.Body.Size = int64(len(m.Body.data))
		case "blob":
			at = q.int()
		case "size":
			m.Body.Size = q.int()
		case "sha256":
			m.Body.sum = q.str()
		case "lean":
			m.Body.lean = q.take(1) == "\xc3"
		case "marked":
			m.Body.marked = q.take(1) == "\xc3"
		case "wire":
			q.object(func(key string) {
				q.check(key == "encoding")
				m.Body.coding = q.str()
			})
		case "chunks":
			m.Chunks = q.runs()
		default:
			q.check(false)
		}
	})
	if at == 0 {
		return
	}
	q.check(at >= int64(twinHead) && m.Body.Size >= 0 && m.Body.data == nil)
	name, open := blobName(at, m.Body.Size), q.t.opener
	m.Body.open = func() (io.ReadCloser, error) { return open(name) }
}

// runs reads the sizes of chunks.
func (q *quickReader) runs() []Run {
	var out []Run
	for n := q.size(q.lead(), 0x90, 0xdc); n > 0 && q.bad == ""; n-- {
		run := Run{Count: 1}
		if q.i < len(q.s) && q.s[q.i] == 0x92 {
			q.i++
			run.Size = q.int()
			run.Count = q.int()
		} else {
			run.Size = q.int()
		}
		q.check(run.Size > 0 && run.Count > 0)
		out = append(out, run)
	}
	return out
}

func (q *quickReader) timing(t *Timing) {
	ms := func() time.Duration { return time.Duration(q.int()) * time.Millisecond }
	q.object(func(key string) {
		switch key {
		case "start_ms":
			t.Start = ms()
		case "send_ms":
			t.Send = ms()
		case "wait_ms":
			t.Wait = ms()
		case "receive_ms":
			t.Receive = ms()
		default:
			q.check(false)
		}
	})
}
