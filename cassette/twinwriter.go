package cassette

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// A twinWriter writes a twin, or appends a commit to one. It holds what the
// index needs of each interaction, and one piece of a body.
type twinWriter struct {
	w       *bufio.Writer
	at      int64 // in the file, in bytes
	outside bool  // files of the bodies folder stay there: the twin stands for a JSON file

	sample  sample            // of the connections
	labels  map[string]string // of those, by what they are
	named   Connection        // the last one that was asked for
	label   string            // its label
	queued  bool              // there are connections that failed, or conversations
	veiled  bool              // there are placeholders outside of header fields
	meta    int64
	before  int64 // the index segment before this commit's
	count   int
	entries []entry
	blobs   map[string]blobRef // by sha256
	place   place
	pen     pen
}

// A blobRef is where a body is in the file.
type blobRef struct{ at, size int64 }

// newTwinWriter begins a twin.
func newTwinWriter(out io.Writer) *twinWriter {
	w := &twinWriter{w: bufio.NewWriterSize(out, 256<<10), place: interactionPlace(), blobs: map[string]blobRef{}}
	b := append([]byte(twinMagic), twinVersion, 0, 0, 0)
	w.put(b)
	return w
}

// appendTwin goes on where t ends, in the same file.
func appendTwin(out io.Writer, t *twin) *twinWriter {
	w := &twinWriter{
		w: bufio.NewWriterSize(out, 256<<10), at: t.end, before: t.last, count: t.count, place: interactionPlace(),
		blobs: map[string]blobRef{}, veiled: t.veiled, queued: t.queued,
	}
	for _, m := range t.top.get("connections").members() {
		w.sample.add(readConnection(m.val))
	}
	return w
}

// put writes b. The first fault is kept by the bufio.Writer, for Flush.
func (w *twinWriter) put(b []byte) {
	n, _ := w.w.Write(b)
	w.at += int64(n)
}

// record writes one record and returns where it is.
func (w *twinWriter) record(typ byte, payload func(b []byte) []byte) (at int64, size int) {
	p := &w.pen
	p.b = p.b[:0]
	p.begin(typ)
	p.b = payload(p.b)
	p.end()
	at = w.at
	w.put(p.b)
	return at, len(p.b) - recordHead
}

// begin writes what stands before the interactions: everything else. all tells
// those to come: whatever the commit is cut to, its meta knows their connections.
func (w *twinWriter) begin(c *Cassette, all func(func(*Interaction) error) error) error {
	outside := &node{kind: '{'}
	err := all(func(i *Interaction) error {
		w.sample.add(i.Connection)
		for _, b := range i.bodies() {
			if w.outside && b.file != "" {
				outside.add(b.file, intNode(b.Size))
			}
		}
		w.veiled = w.veiled || len(i.key.veiled) > 0
		w.queued = w.queued || i.Connects() || i.Converses()
		return nil
	})
	if err != nil {
		return err
	}
	some := *c
	some.Interactions = w.sample.of
	top, labels := some.head()
	top, w.labels = top.without("summary"), labels
	meta := (&node{}).add("head", top)
	if w.outside {
		meta.add("outside", outside)
	}
	if w.queued {
		meta.add("queued", &node{kind: 's', tok: "true"})
	}
	if w.veiled {
		meta.add("veiled", &node{kind: 's', tok: "true"})
	}
	if rest := append(c.dnsNodes(0), c.otherNodes(labels, 0)...); len(rest) > 0 {
		meta.add("rest", list(rest...))
	}
	w.meta, _ = w.record(twinMeta, func(b []byte) []byte { return appendNode(b, "", meta) })
	return nil
}

// labelOf is the label of c.
func (w *twinWriter) labelOf(c Connection) string {
	if w.label == "" || !sameConnection(c, w.named) {
		w.named, w.label = c, w.labels[c.node().compact()]
	}
	return w.label
}

// interaction writes i, the next one.
func (w *twinWriter) interaction(i *Interaction) error {
	n, err := w.tree(i)
	if err != nil {
		return fmt.Errorf("interaction %s: %w", i.ID, err)
	}
	f, err := new(rules).formOf(i.asked()) // its secrets may have got other names
	if err != nil {
		return fmt.Errorf("interaction %s: %w", i.ID, err)
	}
	e := entryOf(i, &f)
	at, size := w.record(twinInteraction, func(b []byte) []byte { return appendNode(b, "", n) })
	e.nth, e.size, e.at = uint32(w.count), uint32(size), at
	w.entries = append(w.entries, e)
	w.count++
	return nil
}

// commit writes the index and the footer, and flushes.
func (w *twinWriter) commit() error {
	sortEntries(w.entries)
	n := len(w.entries)
	var covered []byte
	at, _ := w.record(twinIndex, func(b []byte) []byte {
		from := len(b)
		b = binary.LittleEndian.AppendUint16(b, matcherVersion)
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		b = binary.LittleEndian.AppendUint64(b, uint64(w.before))
		b = binary.LittleEndian.AppendUint64(b, uint64(w.meta))
		covered = slices.Clone(b[from:])
		b = slices.Grow(b, n*entrySize)
		for i := range w.entries {
			b = w.entries[i].append(b)
		}
		fences := len(b)
		for i := 0; i < n; i += pageSize {
			k := w.entries[i].key
			for _, v := range []uint64{k.route, k.loose, k.canon, k.alike} {
				b = binary.LittleEndian.AppendUint64(b, v)
			}
		}
		covered = append(covered, b[fences:]...)
		return b
	})
	foot := binary.LittleEndian.AppendUint64(nil, uint64(at))
	foot = binary.LittleEndian.AppendUint64(foot, uint64(w.count))
	foot = binary.LittleEndian.AppendUint32(foot, castagnoli(castagnoli(0, foot), covered))
	w.put(append(foot, footMagic...))
	return w.w.Flush()
}

// tree is i as its record has it: as the JSON form has it, but for the bodies.
func (w *twinWriter) tree(i *Interaction) (*node, error) {
	bare := i.detached()
	bare.Request.Body, bare.Connection = Body{}, Connection{}
	if bare.Response != nil {
		bare.Response.Body = Body{}
	}
	_, said := bare.said()
	for _, m := range said {
		if m.Body.Size > inlineMost {
			m.Body = Body{}
		}
	}
	n, err := bare.known(nil)
	if err != nil {
		return nil, err
	}
	n.add("connection", strNode(w.labelOf(i.Connection)))
	if n, err = w.pieces(n, i); err != nil {
		return nil, err
	}
	if i.Converses() {
		return w.dated(n, bare, i), nil
	}
	if n, err = w.withBody(n, "request", &i.Request.Message); err != nil {
		return nil, err
	}
	if i.Response != nil {
		if n, err = w.withBody(n, "response", &i.Response.Message); err != nil {
			return nil, err
		}
	}
	return w.dated(n, bare, i), nil
}

// dated is n, the node of i, with when it happened and what is unknown of it.
func (w *twinWriter) dated(n *node, bare, i *Interaction) *node {
	n = n.with("timing", bare.timing())
	w.place.keep(n, i.src)
	w.place.keep(n, i.past)
	return n
}

// withBody is n, an interaction, with the body of its half called key as a twin has it.
func (w *twinWriter) withBody(n *node, key string, m *Message) (*node, error) {
	b, err := w.body(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return n.with(key, n.get(key).with("body", b)), nil
}

// body is m's body as a twin has it: its bytes, or where they are.
func (w *twinWriter) body(m *Message) (*node, error) {
	out := &node{kind: '{'}
	switch {
	case m.Body.Size == 0:
		return null(), nil
	case w.outside && m.Body.file != "":
		fileNode(out, m.Body)
	case m.Body.Size <= inlineMost:
		data, _, err := m.Body.Whole()
		if err != nil {
			return nil, err
		}
		out.add("bytes", &node{kind: kindBytes, tok: string(data)})
	default:
		ref, sum, err := w.blob(m.Body)
		if err != nil {
			return nil, err
		}
		m.Body.sum = sum // its digest is asked for next
		out.add("blob", intNode(ref.at)).add("size", intNode(ref.size)).add("sha256", strNode(sum))
	}
	if m.Body.lean {
		out.add("lean", &node{kind: 's', tok: "true"})
	}
	if m.Body.marked {
		m.Body.markNode(out)
	}
	m.chunkNodes(out)
	return out, nil
}

// blob writes b, unless it is there already.
func (w *twinWriter) blob(b Body) (blobRef, string, error) {
	sum, err := b.Sum()
	if err != nil {
		return blobRef{}, "", err
	}
	if ref, ok := w.blobs[sum]; ok {
		return ref, sum, nil
	}
	r, err := b.Open()
	if err != nil {
		return blobRef{}, "", err
	}
	defer r.Close()
	ref := blobRef{w.at, b.Size}
	for left := b.Size; left > 0; {
		n := min(left, blobMost)
		w.record(twinBlob, func(p []byte) []byte {
			p = slices.Grow(p, int(n))
			var k int
			k, err = io.ReadFull(r, p[len(p):len(p)+int(n)])
			return p[:len(p)+k]
		})
		if err != nil {
			return ref, sum, fmt.Errorf("read body of %d bytes: %w", b.Size, err)
		}
		left -= n
	}
	w.blobs[sum] = ref
	return ref, sum, nil
}

// pieces is n, the node of i, with what passed behind the heads as a twin has it:
// large pieces are bodies of their own.
func (w *twinWriter) pieces(n *node, i *Interaction) (*node, error) {
	member, said := i.said()
	if len(said) == 0 {
		return n, nil
	}
	talk := n.get(member)
	out := list()
	for k, e := range talk.get("messages").elements() {
		if b := said[k].Body; b.Size > inlineMost {
			p, err := w.body(&Message{Body: b})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", member, err)
			}
			if i.WebSocket != nil {
				p.add("opcode", strNode(i.WebSocket.Messages[k].word()))
			}
			e = e.with("payload", p)
		}
		out.kids = append(out.kids, e)
	}
	return n.with(member, talk.with("messages", out)), nil
}
