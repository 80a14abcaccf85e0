package cassette

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A journal is journalMagic and then records:
//
//	u32 length of payload | u32 crc32c of type and payload | u8 type | payload
//
// Integers are little-endian; inside payloads they are varints, and strings
// carry their length. It is only ever appended to.
const journalMagic = "SERGEJN\x01"

// The types of records.
const (
	recMeta    = iota // who records what: meta
	recConn           // a connection was opened: id, origin
	recHead           // as an Event; so the next three
	recData           //
	recTrails         //
	recEnd            //
	recSecret         // a placeholder and the shape of what it stands for
	recDNS            // a DNS answer
	recPin            // a pinned name
	recClosed         // the recorder came to its end: failed
	recMarked         // as recData, but in the cassette's form, and the content coding that was undone
	recMessage        // a piece of a WebSocket's message
	recPiece          // how many bytes of a stream without chunks came
	recTLS            // a conversation goes on inside TLS: what its handshake showed
)

// recordMost bounds a record's payload in bytes; a larger piece of Data is cut.
const recordMost = 1 << 20

const recordHead = 9

// meta is the first record.
type meta struct {
	pid    uint64
	name   string
	with   string
	start  time.Time
	append bool
	base   string // the twin that is appended to, as it was: see Store.base
	format Format // that the cassette is written in, if there is none yet
}

// castagnoli adds b to sum, which begins as 0. It is computed by one instruction
// on amd64 and arm64.
func castagnoli(sum uint32, b []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b)
}

// A pen appends records to a buffer.
type pen struct {
	b    []byte
	from int
}

func (p *pen) begin(typ byte) {
	p.from = len(p.b)
	p.b = append(p.b, 0, 0, 0, 0, 0, 0, 0, 0, typ)
}

func (p *pen) end() {
	payload := p.b[p.from+recordHead:]
	binary.LittleEndian.PutUint32(p.b[p.from:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(p.b[p.from+4:], castagnoli(0, p.b[p.from+recordHead-1:]))
}

func (p *pen) num(v uint64) { p.b = binary.AppendUvarint(p.b, v) }
func (p *pen) dur(d time.Duration) {
	p.b = binary.AppendVarint(p.b, int64(d))
}
func (p *pen) str(s string) {
	p.num(uint64(len(s)))
	p.b = append(p.b, s...)
}
func (p *pen) bytes(b []byte) {
	p.num(uint64(len(b)))
	p.b = append(p.b, b...)
}
func (p *pen) flag(v bool) {
	if v {
		p.num(1)
	} else {
		p.num(0)
	}
}
func (p *pen) strs(ss []string) {
	p.num(uint64(len(ss)))
	for _, s := range ss {
		p.str(s)
	}
}
func (p *pen) fields(fs []exchange.Field) {
	p.num(uint64(len(fs)))
	for _, f := range fs {
		p.str(f.Name)
		p.str(f.Value)
	}
}

func (p *pen) meta(m meta) {
	p.begin(recMeta)
	p.num(m.pid)
	p.str(m.name)
	p.str(m.with)
	p.num(uint64(m.start.UnixNano()))
	p.flag(m.append)
	p.str(m.base)
	p.str(string(m.format))
	p.end()
}

// head writes h, which is in the cassette's form already.
func (p *pen) head(h *exchange.Head) {
	p.str(h.Method)
	p.str(h.Scheme)
	p.str(h.Authority)
	p.str(h.Target)
	p.num(uint64(h.Status))
	p.str(h.Reason)
	p.str(h.Version)
	p.fields(h.Fields)
	p.bytes(h.Raw)
}

// An eye reads a payload. After a fault everything it reads is zero.
type eye struct {
	b   []byte
	bad bool
}

func (e *eye) num() uint64 {
	v, n := binary.Uvarint(e.b)
	if n <= 0 {
		e.bad, e.b = true, nil
		return 0
	}
	e.b = e.b[n:]
	return v
}

func (e *eye) dur() time.Duration {
	v, n := binary.Varint(e.b)
	if n <= 0 {
		e.bad, e.b = true, nil
		return 0
	}
	e.b = e.b[n:]
	return time.Duration(v)
}

func (e *eye) bytes() []byte {
	n := e.num()
	if n > uint64(len(e.b)) {
		e.bad, e.b = true, nil
		return nil
	}
	b := e.b[:n:n]
	e.b = e.b[n:]
	return b
}

func (e *eye) str() string { return string(e.bytes()) }

// count reads a length of a list, whose elements take a byte at least.
func (e *eye) count() int {
	n := e.num()
	if n > uint64(len(e.b)) {
		e.bad, e.b = true, nil
		return 0
	}
	return int(n)
}

func (e *eye) strs() []string {
	var ss []string
	for range e.count() {
		ss = append(ss, e.str())
	}
	return ss
}

func (e *eye) fields() []exchange.Field {
	var fs []exchange.Field
	for range e.count() {
		fs = append(fs, exchange.Field{Name: e.str(), Value: e.str()})
	}
	return fs
}

func (e *eye) head() *exchange.Head {
	h := &exchange.Head{Method: e.str(), Scheme: e.str(), Authority: e.str(), Target: e.str(), Status: int(e.num())}
	h.Reason, h.Version, h.Fields = e.str(), e.str(), e.fields()
	if raw := e.bytes(); len(raw) > 0 {
		h.Raw = append([]byte(nil), raw...)
	}
	return h
}

func (e *eye) meta() meta {
	m := meta{pid: e.num(), name: e.str(), with: e.str()}
	m.start = time.Unix(0, int64(e.num())).UTC()
	m.append = e.num() == 1
	m.base = e.str() // an older journal has neither
	if m.format = Format(e.str()); m.format != MessagePack {
		m.format = JSON
	}
	return m
}

// errTorn ends a journal whose last record was cut off or damaged: everything
// before it is good.
var errTorn = errors.New("torn record")

// scanJournal calls each with every record of r in order: its type, payload,
// and the offset of the payload. The payload is valid during the call. A torn
// end is no error. It returns the length of the good part.
func scanJournal(r io.Reader, each func(typ byte, payload []byte, at int64) error) (int64, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	head := make([]byte, max(len(journalMagic), recordHead))
	if _, err := io.ReadFull(br, head[:len(journalMagic)]); err != nil {
		return 0, nil
	}
	if string(head[:len(journalMagic)]) != journalMagic {
		return 0, fmt.Errorf("not a journal of this version: it begins with %q", head[:len(journalMagic)])
	}
	at := int64(len(journalMagic))
	var buf []byte
	for {
		payload, err := readRecord(br, head[:recordHead], &buf)
		if err != nil {
			return at, nil
		}
		if err := each(head[8], payload, at+recordHead); err != nil {
			return at, err
		}
		at += recordHead + int64(len(payload))
	}
}

// readRecord reads one record; its type stays in head[8].
func readRecord(r io.Reader, head []byte, buf *[]byte) ([]byte, error) {
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n > 2*recordMost {
		return nil, errTorn
	}
	if cap(*buf) < int(n) {
		*buf = make([]byte, n)
	}
	payload := (*buf)[:n]
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	if castagnoli(castagnoli(0, head[recordHead-1:recordHead]), payload) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	return payload, nil
}
