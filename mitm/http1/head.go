package http1

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// stepHead reads a request's or response's head.
func (d *Decoder) stepHead(h *half, b []byte, o out) (int, error) {
	if h.from == exchange.Server {
		if len(d.pending) == 0 {
			return 0, ErrUnsolicited
		}
		h.stream = d.done + 1
	}
	block, n, err := h.gather(b, h.from == exchange.Client)
	if err != nil || block == nil {
		return n, err
	}
	f, err := h.parse(block)
	if err != nil {
		return 0, err
	}
	h.drop()
	if h.from == exchange.Client {
		return n, d.request(h, f, o)
	}
	return n, d.response(h, f, o)
}

// parse fills h.head from block and returns what its fields say of the body.
func (h *half) parse(block []byte) (framing, error) {
	if bytes.IndexByte(block, 0) >= 0 {
		return framing{}, fmt.Errorf("%w: NUL in head", errSyntax)
	}
	text := string(block) // the one allocation of a head: all its strings point here
	first, start := h.blanks, 0
	if first > 0 {
		start = h.ends[first-1] + 1
	}
	line, crlf := cutLine(text[start : h.ends[first]+1])
	h.head = exchange.Head{}
	var (
		plain bool
		err   error
	)
	if h.from == exchange.Client {
		plain, err = h.requestLine(line)
	} else {
		plain, err = h.statusLine(line)
	}
	if err != nil {
		return framing{}, err
	}
	even, err := h.parseFields(text, h.ends[first:])
	if err != nil {
		return framing{}, err
	}
	h.head.Fields = h.fields
	if !plain || !crlf || !even || first > 0 {
		h.head.Raw = block
	}
	return framingOf(h.fields)
}

// cutLine takes the line end off and says whether it was CRLF.
func cutLine(line string) (string, bool) {
	n := len(line) - 1
	if n > 0 && line[n-1] == '\r' {
		return line[:n-1], true
	}
	return line[:n], false
}

// requestLine reads "GET /path HTTP/1.1". One space between the parts, no
// other: RFC 9112, section 3, allows more to be read and warns of it.
func (h *half) requestLine(line string) (plain bool, err error) {
	method, rest, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	h.head.Method, h.head.Target = method, target
	if !ok || !ok2 || !token(method) || !visible(target) {
		return false, fmt.Errorf("%w: request line %s", errSyntax, quote(line))
	}
	h.head.Version, plain, err = readVersion(version)
	return plain, err
}

// statusLine reads "HTTP/1.1 200 OK". The reason may be missing, with the
// space in front of it or without.
func (h *half) statusLine(line string) (plain bool, err error) {
	version, rest, _ := strings.Cut(line, " ")
	h.head.Version, plain, err = readVersion(version)
	if err != nil {
		return false, err
	}
	code := strings.TrimLeft(rest, " ")
	if len(code) < 3 || len(code) > 3 && code[3] != ' ' || strings.IndexByte(line, '\r') >= 0 {
		return false, fmt.Errorf("%w: status line %s", errSyntax, quote(line))
	}
	status, err := strconv.ParseUint(code[:3], 10, 16)
	if err != nil || status < 100 {
		return false, fmt.Errorf("%w: status line %s", errSyntax, quote(line))
	}
	h.head.Status = int(status)
	if len(code) > 3 {
		h.head.Reason = code[4:]
	}
	return plain && len(code) > 3 && len(code) == len(rest), nil
}

// readVersion reads "HTTP/1.1" or "HTTP/1.0", in any case; plain tells upper.
func readVersion(s string) (version string, plain bool, err error) {
	if len(s) == 8 && strings.EqualFold(s[:5], "http/") {
		if v := s[5:]; v == "1.1" || v == "1.0" {
			return v, s[:4] == "HTTP", nil
		}
	}
	return "", false, fmt.Errorf("%w: version %s", errSyntax, quote(s))
}

// parseFields fills h.fields with the lines of text behind the one that ends
// at ends[0]. even tells that all are as they would be printed.
func (h *half) parseFields(text string, ends []int) (even bool, err error) {
	h.fields, even = h.fields[:0], true
	start := ends[0] + 1
	for _, end := range ends[1:] {
		line, crlf := cutLine(text[start : end+1])
		start, even = end+1, even && crlf
		if line == "" {
			return even, nil // always the last: gather stopped there
		}
		if strings.IndexByte(line, '\r') >= 0 {
			return false, fmt.Errorf("%w: CR in field %s", errSyntax, quote(line))
		}
		if line[0] == ' ' || line[0] == '\t' {
			if err := h.unfold(line); err != nil {
				return false, err
			}
			even = false
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !token(name) && (h.from == exchange.Client || !tolerable(name)) {
			return false, fmt.Errorf("%w: field %s", errSyntax, quote(line))
		}
		v := strings.Trim(value, " \t")
		even = even && len(v)+1 == len(value) && value[0] == ' '
		h.fields = append(h.fields, exchange.Field{Name: name, Value: v})
	}
	return even, nil
}

// unfold adds a continuation line to the last field (RFC 9112, section 5.2:
// a proxy refuses it in a request and reads a space in a response).
func (h *half) unfold(line string) error {
	if h.from == exchange.Client || len(h.fields) == 0 {
		return fmt.Errorf("%w: folded field %s", errSyntax, quote(line))
	}
	f := &h.fields[len(h.fields)-1]
	if frames(f.Name) {
		return fmt.Errorf("%w: folded %s", errSyntax, f.Name)
	}
	f.Value = strings.Trim(f.Value+" "+strings.Trim(line, " \t"), " ")
	return nil
}

// request tells the head of a request and sets what follows it.
func (d *Decoder) request(h *half, f framing, o out) error {
	if len(d.pending) >= MaxPending {
		return fmt.Errorf("%w: over %d requests without an answer", ErrTooLong, MaxPending)
	}
	b, err := f.request(&h.head)
	if err != nil {
		return err
	}
	h.stream++
	h.head.Scheme, h.head.Authority = d.scheme, f.host
	h.asks, h.tunnel = f.upgrade || h.head.Method == "CONNECT", false
	d.pending = append(d.pending, asked(h.head.Method, f.upgrade))
	o.emit(exchange.Event{Stream: h.stream, From: h.from, Kind: exchange.KindHead, At: o.at, Head: &h.head})
	d.follow(h, b, o)
	return nil
}

// response tells the head of a response and sets what follows it.
func (d *Decoder) response(h *half, f framing, o out) error {
	flags, status := d.pending[0], h.head.Status
	if status == 101 && flags&askedUpgrade == 0 {
		return fmt.Errorf("%w: 101 that nobody asked for", errSyntax)
	}
	b, err := f.response(&h.head, flags)
	if err != nil {
		return err
	}
	o.emit(exchange.Event{Stream: h.stream, From: h.from, Kind: exchange.KindHead, At: o.at, Head: &h.head})
	if !final(status) {
		return nil
	}
	h.tunnel = tunnels(flags, status)
	if err := d.settle(h, h.tunnel, o); err != nil {
		return err
	}
	if h.tunnel {
		h.state = inTunnel
		return nil
	}
	d.follow(h, b, o)
	return nil
}

// follow sets the state for the body b; without one the message ends.
func (d *Decoder) follow(h *half, b body, o out) {
	switch {
	case b.kind == byLength && b.size > 0:
		h.state, h.left = inLength, b.size
	case b.kind == byChunks:
		h.state = inChunkLine
	case b.kind == byClose:
		h.state = inClose
	default:
		d.finish(h, o)
	}
}

// final reports whether status ends the row of interim answers; 101 does.
func final(status int) bool { return status >= 200 || status == 101 }

// tunnels reports whether status turns the connection of a request with flags
// into a tunnel.
func tunnels(flags uint8, status int) bool {
	return flags&askedUpgrade != 0 && status == 101 || flags&askedConnect != 0 && status/100 == 2
}

// asked is what an answer's reading needs to know of its request.
func asked(method string, upgrade bool) uint8 {
	var flags uint8
	switch method {
	case "HEAD":
		flags = askedHead
	case "CONNECT":
		flags = askedConnect
	}
	if upgrade {
		flags |= askedUpgrade
	}
	return flags
}
