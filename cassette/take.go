package cassette

import (
	"errors"
	"fmt"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// interactions makes the tape's takes interactions, in order of their start.
func (t *tape) interactions() ([]*Interaction, error) {
	var out []*Interaction
	for _, k := range t.takes {
		i, err := t.interaction(k)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.req.Method, k.req.Target, err)
		}
		out = append(out, i)
	}
	return out, t.guard.again(out, t.shapes)
}

// interaction is one take as it will stand in the file, but for its bodies of
// over wholeMost bytes, which are still in the journal.
func (t *tape) interaction(k *take) (*Interaction, error) {
	k.overdue()
	client, server := &k.sides[exchange.Client], &k.sides[exchange.Server]
	o, h := k.reel.origin, k.req
	i := &Interaction{when: when{k.start, k.end}, Failure: k.failure()}
	i.Connection = profile(o, h)
	i.Peer = Peer{o.Addr, o.Caller.PID, o.Caller.Command}
	i.Request = Request{Method: h.Method, URL: printable(o.URL(h)), Version: h.Version, Fields: h.Fields, RawHead: h.Raw, Trailers: client.trailers}
	if !strings.HasSuffix(i.Request.URL, h.Target) || !strings.HasPrefix(h.Target, "/") {
		i.Request.Target = h.Target
	}
	var err error
	if i.Request.Message, err = t.message(client); err != nil {
		return nil, err
	}
	sent := max(client.endAt, k.start)
	switch {
	case k.upgraded(): // the end seen last is of what came after it
		i.Request.End, i.Request.EndCode, i.Request.RawEnd = exchange.Complete, 0, nil
		sent = k.start
	case client.end == nil:
		i.Request.End = exchange.Truncated // nobody saw its end
	}
	if k.raw() {
		return i, errors.Join(t.conversation(i, k), i.rekey(rules{}))
	}
	i.Timing = Timing{Start: k.start, Send: sent - k.start}
	if k.res == nil {
		return i, errors.Join(i.callOf(k.steps), i.rekey(rules{}))
	}
	if i.Response, err = t.response(k, server); err != nil {
		return nil, err
	}
	if err := i.callOf(k.steps); err != nil {
		return nil, err
	}
	i.Timing.Wait, i.Timing.Receive = max(k.headAt-sent, 0), max(k.end-k.headAt, 0)
	if len(server.msg.times) > 1 {
		i.Timing.Chunks = server.msg.times
	}
	if len(server.msg.pieces) > 1 {
		i.Timing.Pieces = server.msg.pieces
	}
	if i.Upgraded, err = t.passed(k.talk); err != nil {
		return nil, err
	}
	if k.upgraded() {
		i.ClosedBy = k.closedBy()
	}
	if k.socket != nil {
		if i.WebSocket, err = t.webSocket(k); err != nil {
			return nil, err
		}
	}
	return i, i.rekey(rules{})
}

// passed is what was said in an upgraded stream.
func (t *tape) passed(talk []piece) ([]Message, error) {
	var out []Message
	for n := range talk {
		p := &talk[n]
		m, err := t.message(&p.side)
		if err != nil {
			return nil, err
		}
		m.From, m.StartTLS, m.HalfClose = p.from, p.what == secures, p.what == ceases
		out = append(out, m)
	}
	return out, nil
}

// response is the origin's half of k.
func (t *tape) response(k *take, s *side) (*Response, error) {
	r := &Response{Informational: k.interim, Status: k.res.Status, Reason: k.res.Reason, Fields: k.res.Fields, RawHead: k.res.Raw, Trailers: s.trailers}
	if k.res.Version != k.req.Version {
		r.Version = k.res.Version
	}
	var err error
	r.Message, err = t.message(s)
	return r, err
}

// message is what s sent.
func (t *tape) message(s *side) (Message, error) {
	m := s.msg
	switch {
	case s.end == nil || s.end.How == exchange.Complete:
	case s.end.How == exchange.Reset, s.end.How == exchange.Malformed, s.end.How == exchange.Left:
		m.End = s.end.How
		if m.End == exchange.Reset {
			m.EndCode = s.end.Code
		}
	default:
		m.End = exchange.Truncated
	}
	var err error
	m.Body, err = t.whole(s)
	return m, err
}

// profile is the connection that a request went over.
func profile(o exchange.Origin, h *exchange.Head) Connection {
	c := Connection{Scheme: "http", Host: strings.ToLower(o.Host()), Port: o.Addr.Port(), Version: h.Version}
	if o.TLS {
		c.Scheme, c.ALPN, c.SNI, c.Names = "https", o.ALPN, o.SNI, o.Names
	}
	if up, _ := exchange.Get(h.Fields, "upgrade"); h.Version == "2" && up != "" { // which HTTP/2 has not: it was an extended CONNECT
		c.ConnectProtocol = true
	}
	return c
}

// printable is url with what is not printable ASCII percent-encoded.
func printable(url string) string {
	if !strings.ContainsFunc(url, func(c rune) bool { return c <= 0x20 || c >= 0x7f }) {
		return url
	}
	var b strings.Builder
	for i := 0; i < len(url); i++ {
		if c := url[i]; c <= 0x20 || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
