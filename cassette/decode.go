package cassette

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// opener opens a file of the cassette's bodies folder.
type opener func(name string) (io.ReadCloser, error)

// parse reads a cassette in its JSON form, or in one of the older shapes.
func parse(b []byte, files opener) (*Cassette, error) {
	top, err := parseTop(b)
	if err != nil {
		return nil, err
	}
	c, profiles, err := fromTop(top)
	if err != nil {
		return nil, err
	}
	for i, n := range top.get("interactions").elements() {
		if err := c.readElement(n, profiles, files); err != nil {
			return nil, fmt.Errorf("/interactions/%d%w", i, err)
		}
	}
	for i, it := range c.Interactions {
		if it.Seq == 0 {
			it.Seq = i + 1
		}
	}
	slices.SortStableFunc(c.Interactions, func(a, b *Interaction) int { return a.Seq - b.Seq })
	number(c.Interactions, 0)
	return c, nil
}

// parseTop reads the JSON of a cassette, and makes it one of this version.
func parseTop(b []byte) (*node, error) {
	if at := notUTF8(b); at >= 0 {
		return nil, &syntaxError{at, "not UTF-8"}
	}
	top, err := parseTree(b)
	if err != nil {
		return nil, err
	}
	if top.kind != '{' {
		return nil, errors.New("a cassette is a JSON object")
	}
	if is := top.get("interactions"); is != nil && is.kind != '[' {
		return nil, errors.New("/interactions: is not a list")
	}
	return migrate(top, migrations())
}

// fromTop reads all of a cassette but its interactions, and the profiles of
// connections by their labels.
func fromTop(top *node) (*Cassette, map[string]Connection, error) {
	c := &Cassette{Name: top.text("name"), RecordedWith: top.text("recorded_with"), shapes: map[string]string{}}
	c.RecordedAt, _ = time.Parse(time.RFC3339, top.text("recorded_at"))
	c.Incomplete = top.text("incomplete") == "true"
	err := c.readRest(top)
	return c, readProfiles(top), err
}

// notUTF8 is where b stops to be UTF-8, -1 if it does not.
func notUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// readRest reads the smaller members and keeps those that are unknown.
func (c *Cassette) readRest(top *node) (err error) {
	for _, m := range top.mem {
		switch m.key {
		case "version", "name", "summary", "recorded_at", "recorded_with", "incomplete", "interactions":
		case "connections":
			c.profiles = m.val.members()
		case "secrets":
			for _, s := range m.val.members() {
				c.shapes[secretOpen+s.key+secretClose] = unquote(s.val.tok)
			}
		case "dns":
			for _, p := range m.val.get("pins").elements() {
				pin := Pin{Name: p.text("name")}
				pin.V4, _ = netip.ParseAddr(p.text("v4"))
				pin.V6, _ = netip.ParseAddr(p.text("v6"))
				c.Pins = append(c.Pins, pin)
			}
			c.pinned = m.val
		case "rules":
			if c.Rules, err = rulesOf(m.val); err != nil {
				return err
			}
			c.extra = append(c.extra, m) // there may be some that this version does not know
		default:
			c.extra = append(c.extra, m)
		}
	}
	return nil
}

// readProfiles are the connections by their labels.
func readProfiles(top *node) map[string]Connection {
	profiles := map[string]Connection{}
	for _, m := range top.get("connections").members() {
		profiles[m.key] = readConnection(m.val)
	}
	return profiles
}

func readConnection(n *node) Connection {
	t := n.get("tls")
	c := Connection{Scheme: n.text("scheme"), Host: n.text("host"), Port: uint16(n.number("port")), Version: n.text("http_version")}
	c.ALPN, c.SNI, c.Names = t.text("alpn"), t.text("sni"), t.get("sans").texts()
	c.ConnectProtocol = n.text("connect_protocol") == "true"
	return c
}

// readElement reads one interaction, of any kind.
func (c *Cassette) readElement(n *node, profiles map[string]Connection, files opener) error {
	switch kind := n.text("kind"); {
	case kind == "dns":
		v := n.get("dns")
		d := DNS{v.text("name"), v.text("type"), v.text("rcode"), v.get("answers").texts(), v.get("authority").texts(), v.get("additional").texts()}
		c.DNS = append(c.DNS, d)
		if c.asked == nil {
			c.asked = map[string]*node{}
		}
		c.asked[d.question()] = n
		return nil
	case kind == "tcp":
		return c.readTCP(n, profiles, files)
	case kind != "" && kind != "http" && kind != "websocket" && kind != "grpc":
		c.others = append(c.others, n)
		return nil
	}
	i := &Interaction{ID: n.text("id"), Seq: int(n.number("seq")), Connection: profiles[n.text("connection")], src: n}
	read := n
	if n.text("kind") == "websocket" {
		n = withHandshake(n)
	}
	if err := i.Request.read(n.get("request"), files); err != nil {
		return fmt.Errorf("/request%w", err)
	}
	if r := n.get("response"); !r.isNull() {
		i.Response = &Response{}
		if err := i.Response.read(r, files); err != nil {
			return fmt.Errorf("/response%w", err)
		}
	}
	err := i.readSaid(n, files)
	if errors.Is(err, errPayload) {
		c.others = append(c.others, read)
		return nil
	}
	if err != nil {
		return err
	}
	i.frameBodies()
	if n.get("upgraded").text("closed_by") == exchange.Server.String() {
		i.ClosedBy = exchange.Server
	}
	i.readTiming(n.get("timing"))
	i.Peer = readPeer(n.get("peer"))
	if e := n.get("error"); !e.isNull() {
		i.Failure = readFailure(e, i.Timing.Wait)
	}
	if i.Response == nil && i.Failure == nil {
		return errors.New(": neither response nor error is there")
	}
	c.Interactions = append(c.Interactions, i)
	return i.rekey(rules{})
}

// readSaid reads what was said behind the heads of i, or by turns. An error that is
// errPayload is of what this version does not play.
func (i *Interaction) readSaid(n *node, files opener) (err error) {
	for k, m := range n.get("upgraded").get("messages").elements() {
		msg, err := readPiece(m, files)
		if err != nil {
			return fmt.Errorf("/upgraded/messages/%d%w", k, err)
		}
		i.Upgraded = append(i.Upgraded, msg)
	}
	if v := n.get("websocket"); !v.isNull() {
		if i.WebSocket, err = readWebSocket(v, files); err != nil {
			return fmt.Errorf("/websocket%w", err)
		}
		if i.WebSocket.Close != nil {
			i.ClosedBy = i.WebSocket.Close.From
		}
	}
	if v := n.get("grpc"); !v.isNull() {
		if err := i.readCall(v); err != nil {
			return fmt.Errorf("/grpc%w", err)
		}
	}
	return nil
}

func (r *Request) read(n *node, files opener) error {
	if n == nil || n.kind != '{' {
		return errors.New(": is not an object")
	}
	r.Method, r.URL, r.Version = n.text("method"), handshakeURL(n.text("url")), n.text("http_version")
	if r.Method == "" || !strings.Contains(r.URL, "://") {
		return fmt.Errorf(": method %q and url %q do not name a request", r.Method, r.URL)
	}
	r.Target = n.get("target").bytes()
	return r.Message.read(n, files, &r.Fields, &r.Trailers, &r.RawHead)
}

func (r *Response) read(n *node, files opener) error {
	r.Status, r.Reason, r.Version = int(n.number("status")), n.get("reason").bytes(), n.text("http_version")
	if r.Status < 100 || r.Status > 999 {
		return fmt.Errorf("/status: %d is not a status", r.Status)
	}
	for _, i := range n.get("informational").elements() {
		r.Informational = append(r.Informational, Interim{Status: int(i.number("status")), Reason: i.get("reason").bytes(), Fields: readFields(i.get("headers")), At: time.Duration(i.number("at_ms")) * time.Millisecond})
	}
	return r.Message.read(n, files, &r.Fields, &r.Trailers, &r.RawHead)
}

// read reads what requests and responses have in common.
func (m *Message) read(n *node, files opener, fields, trailers *[]exchange.Field, raw *[]byte) error {
	*fields, *trailers = readFields(n.get("headers")), readFields(n.get("trailers"))
	var err error
	if *raw, err = base64.StdEncoding.DecodeString(n.text("raw_head")); err != nil {
		return fmt.Errorf("/raw_head: %w", err)
	}
	if len(*raw) == 0 {
		*raw = nil
	}
	b := n.get("body")
	if m.Body, err = readBody(b, files); err != nil {
		return fmt.Errorf("/body%w", err)
	}
	if err := m.eventChunks(b); err != nil {
		return fmt.Errorf("/body%w", err)
	}
	for _, k := range b.get("chunks").elements() {
		run := Run{numberOf(k), 1}
		if k.kind == '[' && len(k.kids) == 2 {
			run = Run{numberOf(k.kids[0]), numberOf(k.kids[1])}
		}
		if run.Size <= 0 || run.Count <= 0 {
			return fmt.Errorf("/body/chunks: %s is not a size", k.compact())
		}
		m.Chunks = append(m.Chunks, run)
	}
	for _, k := range b.get("chunk_ext").elements() {
		if len(k.kids) != 2 {
			continue
		}
		if m.Lines == nil {
			m.Lines = map[int][]byte{}
		}
		m.Lines[int(numberOf(k.kids[0]))] = []byte(k.kids[1].bytes())
	}
	if e := n.get("raw_end").bytes(); e != "" {
		m.RawEnd = []byte(e)
	}
	m.End, _ = exchange.HowOf(n.text("end"))
	m.EndCode = uint32(n.number("end_code"))
	return nil
}

// readPiece reads one message of an upgraded stream.
func readPiece(n *node, files opener) (Message, error) {
	var m Message
	if d := strings.ToLower(n.text("direction")); d == "received" || d == "server" || d == "receive" {
		m.From = exchange.Server
	}
	p := n.get("payload")
	if b := p.get("binary"); b != nil {
		data, err := base64.StdEncoding.DecodeString(b.scalar())
		if err != nil {
			return m, fmt.Errorf("/payload/binary: %w", err)
		}
		m.Body = bodyOf(data)
		return m, nil
	}
	var err error
	if m.Body, err = readBody(p, files); err != nil {
		return m, fmt.Errorf("/payload%w", err)
	}
	return m, nil
}

// readTiming reads when i happened, after its response was read.
func (i *Interaction) readTiming(n *node) {
	ms := func(key string) time.Duration { return time.Duration(n.number(key)) * time.Millisecond }
	i.Timing = Timing{ms("start_ms"), ms("send_ms"), ms("wait_ms"), ms("receive_ms"), n.get("chunk_ms").times(), n.get("pieces").pieces()}
	if i.Response == nil {
		return
	}
	for k, at := range n.get("informational_ms").times() {
		if k < len(i.Response.Informational) {
			i.Response.Informational[k].At = at
		}
	}
	if i.Timing.Chunks == nil {
		i.Timing.Chunks = i.Response.times
	}
}

// pieces are n's elements, [milliseconds, bytes]; none if one is not that.
func (n *node) pieces() []Piece {
	var out []Piece
	for _, k := range n.elements() {
		if len(k.kids) != 2 || numberOf(k.kids[1]) <= 0 {
			return nil
		}
		out = append(out, Piece{time.Duration(numberOf(k.kids[0])) * time.Millisecond, numberOf(k.kids[1])})
	}
	return out
}

// readFields reads [[name, value]…], and the older {name: value} and {name: [values]}.
func readFields(n *node) []exchange.Field {
	var fs []exchange.Field
	for _, k := range n.elements() {
		if len(k.kids) == 2 {
			fs = append(fs, exchange.Field{Name: k.kids[0].scalar(), Value: k.kids[1].bytes()})
		}
	}
	for _, m := range n.members() {
		if m.val.kind != '[' {
			fs = append(fs, exchange.Field{Name: m.key, Value: m.val.bytes()})
		}
		for _, v := range m.val.elements() {
			fs = append(fs, exchange.Field{Name: m.key, Value: v.bytes()})
		}
	}
	return fs
}
