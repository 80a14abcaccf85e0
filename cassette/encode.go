package cassette

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// timeForm is how recorded_at is written.
const timeForm = "2006-01-02T15:04:05.000Z"

// write prints c in its canonical form. Interactions are made text one at a time.
func (c *Cassette) write(out io.Writer) error { return c.writeAll(out, c.each) }

// writeAll is write of the interactions that all tells, twice.
func (c *Cassette) writeAll(out io.Writer, all func(func(*Interaction) error) error) error {
	top, profiles, err := c.headOf(all)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 64<<10)
	for i, m := range top.mem {
		w.WriteString([...]string{"{\n  ", ",\n  "}[min(i, 1)] + m.ktok + ": ")
		c.layout(w).print(m.val, m.key, 1)
	}
	w.WriteString(",\n  \"interactions\": [")
	count, p := 0, interactionPlace()
	err = all(func(it *Interaction) error {
		n, err := it.node(profiles, p)
		if err != nil {
			return fmt.Errorf("interaction %s: %w", it.ID, err)
		}
		c.element(w, count, n)
		count++
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range append(c.dnsNodes(count), c.otherNodes(profiles, count)...) {
		c.element(w, count, n)
		count++
	}
	if count > 0 {
		w.WriteString("\n  ")
	}
	w.WriteString("]\n}\n")
	return w.Flush()
}

// headOf is everything but the interactions, which all tells, and the labels of
// their connections.
func (c *Cassette) headOf(all func(func(*Interaction) error) error) (*node, map[string]string, error) {
	var s sample
	var lines []string
	err := all(func(i *Interaction) error {
		s.add(i.Connection)
		lines = append(lines, fmt.Sprintf("%d  %s", len(lines)+1, i.Line()))
		return nil
	})
	some := *c
	some.Interactions = s.of
	top, labels := some.head()
	if len(lines) > 0 {
		top = top.with("summary", stringList(lines))
	}
	return top, labels, err
}

// A sample is one interaction for each connection that there is, with nothing
// else in it.
type sample struct {
	of   []*Interaction
	seen map[string]bool
}

// add adds c unless it is there.
func (s *sample) add(c Connection) {
	if n := len(s.of); n > 0 && sameConnection(s.of[n-1].Connection, c) {
		return
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	if id := c.node().compact(); !s.seen[id] {
		s.seen[id] = true
		s.of = append(s.of, &Interaction{Connection: c})
	}
}

func (c *Cassette) layout(w *bufio.Writer) *layout { return &layout{w, map[*node]int{}} }

// element writes the i-th interaction.
func (c *Cassette) element(w *bufio.Writer, i int, n *node) {
	if i > 0 {
		w.WriteByte(',')
	}
	w.WriteString("\n    ")
	c.layout(w).print(n, elementKey("interactions"), 2)
}

// head is everything but the interactions, and the labels of the connections.
func (c *Cassette) head() (*node, map[string]string) {
	n := (&node{}).add("version", strNode(Version)).add("name", strNode(c.Name))
	if lines := c.lines(); len(lines) > 0 {
		n.add("summary", stringList(lines))
	}
	if !c.RecordedAt.IsZero() {
		n.add("recorded_at", strNode(c.RecordedAt.UTC().Format(timeForm)))
	}
	n.addString("recorded_with", c.RecordedWith)
	if c.Incomplete {
		n.add("incomplete", &node{kind: 's', tok: "true"})
	}
	if len(c.shapes) > 0 {
		shapes := &node{}
		for _, m := range slices.SortedFunc(maps.Keys(c.shapes), comparePlaceholders) {
			shapes.add(m[len(secretOpen):len(m)-len(secretClose)], strNode(c.shapes[m]))
		}
		n.add("secrets", shapes)
	}
	if dns := c.pins(); len(dns.mem) > 0 {
		n.add("dns", dns)
	}
	n.mem = append(n.mem, c.extra...)
	c.countNode(n)
	profiles, labels := c.connections()
	if len(profiles.mem) > 0 {
		n.add("connections", profiles)
	}
	return n, labels
}

// lines are the summary: one per interaction.
func (c *Cassette) lines() []string {
	var out []string
	for n, i := range c.Interactions {
		out = append(out, fmt.Sprintf("%d  %s", n+1, i.Line()))
	}
	return out
}

// outcome is the answer in a word.
func (i *Interaction) outcome() string {
	switch {
	case i.Response != nil:
		return strconv.Itoa(i.Response.Status)
	case i.Failure != nil:
		return i.Failure.Kind
	case i.Converses():
		return i.conversed()
	}
	return "no response"
}

// node is i as it stands in the file, with the members of the one that was read,
// or that i takes the place of, that this version does not know: p is where.
func (i *Interaction) node(profiles map[string]string, p place) (*node, error) {
	n, err := i.known(profiles)
	if err != nil {
		return nil, err
	}
	n.add("timing", i.timing())
	p.keep(n, i.src)
	p.keep(n, i.past)
	return n.last("timing"), nil
}

// known is i as this version writes it, but for its timing.
func (i *Interaction) known(profiles map[string]string) (*node, error) {
	n := (&node{}).add("id", strNode(i.ID)).add("kind", strNode(i.kind())).add("seq", intNode(i.Seq))
	if label := profiles[i.Connection.node().compact()]; label != "" {
		n.add("connection", strNode(label))
	}
	if i.Converses() {
		return i.knownTCP(n)
	}
	req, err := i.Request.node()
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if i.WebSocket != nil {
		req = req.with("url", strNode(socketURL(i.Request.URL)))
	}
	n.add("request", req)
	if i.Response != nil {
		res, err := i.Response.node()
		if err != nil {
			return nil, fmt.Errorf("response: %w", err)
		}
		n.add("response", res)
	}
	if len(i.Upgraded) > 0 {
		talk, err := talkNode(i.Upgraded)
		if err != nil {
			return nil, fmt.Errorf("upgraded: %w", err)
		}
		n.add("upgraded", talk.add("closed_by", strNode(i.ClosedBy.String())))
	}
	if i.WebSocket != nil {
		w, err := i.WebSocket.node(i.Request.URL)
		if err != nil {
			return nil, fmt.Errorf("websocket: %w", err)
		}
		n.add("websocket", w)
	}
	if i.Call != nil {
		c, err := i.callNode()
		if err != nil {
			return nil, fmt.Errorf("grpc: %w", err)
		}
		n.add("grpc", c)
	}
	if f := i.Failure; f != nil {
		n.add("error", f.node())
	}
	if !i.Peer.zero() {
		n.add("peer", i.Peer.node())
	}
	return n, nil
}

func (r *Request) node() (*node, error) {
	n := (&node{}).add("method", strNode(valid(r.Method))).add("url", strNode(r.URL))
	if r.Target != "" {
		n.add("target", bytesNode(r.Target))
	}
	n.addString("http_version", r.Version).add("headers", fieldsNode(r.Fields))
	return r.Message.finish(n, r.RawHead, r.Fields, r.Trailers)
}

func (r *Response) node() (*node, error) {
	n := &node{}
	if len(r.Informational) > 0 {
		l := list()
		for _, i := range r.Informational {
			m := (&node{}).add("status", intNode(i.Status))
			if i.Reason != "" {
				m.add("reason", bytesNode(i.Reason))
			}
			l.kids = append(l.kids, m.add("headers", fieldsNode(i.Fields)))
		}
		n.add("informational", l)
	}
	n.add("status", intNode(r.Status))
	if r.Reason != "" {
		n.add("reason", bytesNode(r.Reason))
	}
	n.addString("http_version", r.Version).add("headers", fieldsNode(r.Fields))
	return r.Message.finish(n, r.RawHead, r.Fields, r.Trailers)
}

// finish adds what a request and a response have in common after the headers.
func (m *Message) finish(n *node, rawHead []byte, fields, trailers []exchange.Field) (*node, error) {
	if len(rawHead) > 0 {
		n.add("raw_head", strNode(base64.StdEncoding.EncodeToString(rawHead)))
	}
	shown := m.Body
	if shown.inCall() {
		shown = Body{} // its messages stand in the call
	}
	body, err := bodyNode(shown, fields)
	if err != nil {
		return nil, err
	}
	if !body.isNull() {
		m.chunkNodes(body)
	}
	n.add("body", body)
	if len(trailers) > 0 {
		n.add("trailers", fieldsNode(trailers))
	}
	if len(m.RawEnd) > 0 {
		n.add("raw_end", bytesNode(string(m.RawEnd)))
	}
	if m.End != exchange.Complete {
		n.add("end", strNode(m.End.String()))
	}
	if m.EndCode != 0 {
		n.add("end_code", intNode(m.EndCode))
	}
	return n, nil
}

// chunkNodes adds how the body was chunked.
func (m *Message) chunkNodes(n *node) {
	if len(m.Chunks) > 0 {
		l := list()
		for _, r := range m.Chunks {
			if r.Count == 1 {
				l.kids = append(l.kids, intNode(r.Size))
			} else {
				l.kids = append(l.kids, list(intNode(r.Size), intNode(r.Count)))
			}
		}
		n.add("chunks", l)
	}
	if len(m.Lines) > 0 {
		l := list()
		for _, at := range slices.Sorted(maps.Keys(m.Lines)) {
			l.kids = append(l.kids, list(intNode(at), bytesNode(string(m.Lines[at]))))
		}
		n.add("chunk_ext", l)
	}
}

// talkNode is an upgraded stream.
func talkNode(ms []Message) (*node, error) {
	l := list()
	for _, m := range ms {
		v, err := pieceNode(m.Body)
		if err != nil {
			return nil, err
		}
		l.kids = append(l.kids, (&node{}).add("direction", directionNode(m.From)).add("payload", v))
	}
	return (&node{}).add("messages", l), nil
}

// timing is when it all happened, on one line.
func (i *Interaction) timing() *node {
	t := i.Timing
	if f := i.Failure; f != nil {
		t.Wait = f.After
	}
	n := (&node{}).add("start_ms", ms(t.Start)).add("send_ms", ms(t.Send)).add("wait_ms", ms(t.Wait)).add("receive_ms", ms(t.Receive))
	times := list()
	if i.Response != nil {
		for _, m := range i.Response.Informational {
			times.kids = append(times.kids, ms(m.At))
		}
	}
	if len(times.kids) > 0 {
		n.add("informational_ms", times)
	}
	if len(t.Chunks) > 0 {
		l := list()
		for _, d := range t.Chunks {
			l.kids = append(l.kids, ms(d))
		}
		n.add("chunk_ms", l)
	}
	if len(t.Pieces) > 0 {
		l := list()
		for _, p := range t.Pieces {
			l.kids = append(l.kids, list(ms(p.At), intNode(p.Size)))
		}
		n.add("pieces", l)
	}
	return n
}

func ms(d time.Duration) *node { return intNode(d.Milliseconds()) }

// fieldsNode is one pair a line.
func fieldsNode(fs []exchange.Field) *node {
	n := list()
	for _, f := range fs {
		n.kids = append(n.kids, list(strNode(valid(f.Name)), bytesNode(f.Value)))
	}
	return n
}

// bytesNode is s as a string, or {"base64": …} if it is not UTF-8.
func bytesNode(s string) *node {
	if utf8.ValidString(s) {
		return strNode(s)
	}
	return (&node{}).add("base64", strNode(base64.StdEncoding.EncodeToString([]byte(s))))
}
