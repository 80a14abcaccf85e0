package cassette

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A TCP is how a conversation ended: a connection of a protocol that is neither HTTP
// nor TLS. What both sides said on it, inside TLS or not, is Interaction.Upgraded,
// and who ended it first is Interaction.ClosedBy.
type TCP struct {
	Open bool // it was open when the recording ended
	// How says how the side that ended it first did so: Complete is a FIN, Reset a RST.
	// TLSAlert is the alert Code of an origin whose handshake failed.
	How   exchange.How
	Reply exchange.How // how the server ended it behind a FIN of the client
	Code  uint32
}

// Converses says whether i is the record of a conversation: see TCP.
func (i *Interaction) Converses() bool { return i.TCP != nil }

// isRaw says whether h begins a connection that is an exchange of its own: a
// conversation, or one that failed.
func isRaw(h *exchange.Head) bool {
	return h.Method == "CONNECT" && h.Target == "" && (h.Scheme == "tcp" || h.Scheme == "tls")
}

// turned records that both sides go on inside TLS, behind all that they said before.
func (w *watch) turned(e exchange.Event) {
	if o := w.talks[e.Stream]; o != nil {
		w.understand(o, exchange.Client, nil, true)
		w.understand(o, exchange.Server, nil, true)
		w.talks[e.Stream] = &overheard{login: o.login}
	}
	w.begin(recTLS, e)
	w.pen.str(e.TLS.SNI)
	w.pen.str(e.TLS.ALPN)
	w.pen.strs(e.TLS.Names)
	w.pen.end()
}

// handshake reads what turned wrote, of a connection to o.
func (e *eye) handshake(o exchange.Origin) *exchange.Origin {
	o.SNI, o.ALPN, o.Names = e.str(), e.str(), e.strs()
	return &o
}

// raw says whether k is a conversation.
func (k *take) raw() bool { return k.req != nil && isRaw(k.req) && len(k.talk) > 0 }

// ended takes in that from says no more.
func (k *take) ended(from exchange.Side, when time.Duration) {
	if k.raw() {
		k.talk = append(k.talk, piece{from: from, at: when, what: ceases})
	}
}

// tcp is how k, a conversation, ended.
func (k *take) tcp() *TCP {
	client, server := k.sides[exchange.Client].end, k.sides[exchange.Server].end
	if client == nil && server == nil || cutByUs(client) {
		return &TCP{Open: true}
	}
	first, other := client, server
	if k.partedBy() == exchange.Server {
		first, other = other, first
	}
	c := &TCP{How: howOf(first), Reply: howOf(other), Code: cmp.Or(codeOf(client), codeOf(server))}
	if c.How == exchange.Reset || first == server {
		c.Reply = exchange.Complete // nobody heard it any more
	}
	return c
}

// partedBy is who ended a conversation first.
func (k *take) partedBy() exchange.Side {
	if k.sides[exchange.Client].end == nil && k.sides[exchange.Server].end != nil {
		return exchange.Server
	}
	return k.closedBy()
}

// cutByUs says whether a client's end is ours, as the run was over: a client that
// resets its connection leaves an error of the system.
func cutByUs(e *exchange.End) bool { return e != nil && e.How == exchange.Reset && e.Errno == "" }

// howOf is how a side of a conversation ended, as the other saw it.
func howOf(e *exchange.End) exchange.How {
	switch {
	case e == nil || e.How == exchange.Complete:
		return exchange.Complete
	case e.How == exchange.TLSAlert:
		return exchange.TLSAlert
	}
	return exchange.Reset
}

// codeOf is the alert that e tells of.
func codeOf(e *exchange.End) uint32 {
	if e == nil || e.How != exchange.TLSAlert {
		return 0
	}
	return e.Code
}

// conversation fills i in with k, which is one.
func (t *tape) conversation(i *Interaction, k *take) error {
	if k.handshake != nil {
		i.Connection.ALPN, i.Connection.SNI, i.Connection.Names = k.handshake.ALPN, k.handshake.SNI, k.handshake.Names
	}
	i.Connection.Scheme = k.req.Scheme
	i.Request.End, i.Request.EndCode, i.Timing.Start = exchange.Complete, 0, k.start
	i.ClosedBy, i.TCP = k.partedBy(), k.tcp()
	last := len(k.talk)
	for last > 0 && k.talk[last-1].what == ceases {
		last-- // nobody said anything behind it: TCP tells of it
	}
	var err error
	if i.Upgraded, err = t.passed(k.talk[:last]); err != nil {
		return err
	}
	for n := range i.Upgraded {
		i.Upgraded[n].At = max(k.talk[n].at-k.start, 0)
	}
	i.Timing.Receive = max(k.end-k.start, 0)
	return nil
}

// asked is what i's request is compared by: of a conversation all that its client said.
func (i *Interaction) asked() *Request {
	if !i.Converses() {
		return &i.Request
	}
	r := i.Request
	r.Body = lane(i.steady(), exchange.Client)
	return &r
}

// lane is all that from said of talk, as one body.
func lane(talk []Message, from exchange.Side) Body {
	var ms []Message
	all := Body{}
	for _, m := range talk {
		if m.From == from {
			ms = append(ms, m)
			all.Size += m.Body.Size
			all.marked = all.marked || m.Body.marked
		}
	}
	all.open = func() (io.ReadCloser, error) { return openAll(ms) }
	if all.Size > wholeMost {
		return all
	}
	var b bytes.Buffer
	for _, m := range ms {
		data, _, err := m.Body.Whole()
		if err != nil {
			return all // whoever opens it is told why
		}
		if all.marked && !m.Body.marked {
			data = []byte(escape(string(data)))
		}
		b.Write(data)
	}
	return Body{Size: int64(b.Len()), data: b.Bytes(), marked: all.marked}
}

// openAll opens the bodies of ms, end to end.
func openAll(ms []Message) (io.ReadCloser, error) {
	all := &bodies{}
	for _, m := range ms {
		r, err := m.Body.Open()
		if err != nil {
			all.Close()
			return nil, err
		}
		all.open = append(all.open, r)
	}
	return all, nil
}

// bodies are read one after the other.
type bodies struct {
	open []io.ReadCloser
	at   int
}

// Read implements io.Reader.
func (b *bodies) Read(p []byte) (int, error) {
	for b.at < len(b.open) {
		n, err := b.open[b.at].Read(p)
		if err == io.EOF {
			b.at++
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// Close closes them all.
func (b *bodies) Close() error {
	for _, r := range b.open {
		_ = r.Close() // they were only read
	}
	return nil
}

// conversations says whether both sides of two said the same. Where one interrupted
// the other is chance, and who was first to end where both had said all.
func (t *trial) conversations(a, b *Interaction) bool {
	if a.TCP == nil || b.TCP == nil {
		return a.TCP == b.TCP
	}
	if *a.TCP != *b.TCP || a.TCP.How != exchange.Complete && a.ClosedBy != b.ClosedBy {
		return false
	}
	marks := func(i *Interaction) []Message {
		return slices.DeleteFunc(slices.Clone(i.Upgraded), func(m Message) bool { return !m.StartTLS })
	}
	if len(marks(a)) != len(marks(b)) {
		return false
	}
	x, y := a.steady(), b.steady()
	for _, side := range []exchange.Side{exchange.Client, exchange.Server} {
		if !t.body(content{Body: lane(x, side)}, content{Body: lane(y, side)}) {
			return false
		}
	}
	return true
}

// remote is the host and port of a conversation.
func (i *Interaction) remote() string {
	_, rest, _ := strings.Cut(i.Request.URL, "://")
	return strings.TrimSuffix(rest, "/")
}

// conversed is a conversation in a few words.
func (i *Interaction) conversed() string {
	n := 0
	for _, m := range i.Upgraded {
		if !m.StartTLS && !m.HalfClose {
			n++
		}
	}
	return fmt.Sprintf("%d messages, %s", n, i.parted())
}

// parted is how a conversation ended. Who closed it first is chance where both did.
func (i *Interaction) parted() string {
	switch {
	case i.TCP.Open:
		return "still open"
	case i.TCP.How == exchange.Complete:
		return "closed"
	}
	return i.TCP.How.String() + " by the " + i.ClosedBy.String()
}
