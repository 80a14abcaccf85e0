package cassette

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// body takes r's body apart: content coding undone, JSON by its values, forms by
// their names, parts without their boundary, XML and protobuf by what they hold,
// else the bytes.
func (d *reader) body(r *Request) error {
	mode := d.bodyMode(d.f.bucket)
	switch {
	case mode == bodyNone:
		return nil
	case r.End != exchange.Complete:
		d.emit("body", 'b', "") // what there is of it is compared apart
		return nil
	}
	data, ok, err := r.Body.Whole()
	if err != nil {
		return err
	}
	if !ok {
		sum, err := r.Body.Sum()
		d.emit("body", 0, "sha256:"+sum) // as a digest, so that no other is taken for it
		return err
	}
	if len(data) == 0 && mode == "" {
		d.emit("body", 0, "")
		return nil
	}
	if !d.off.has(lawCoding) {
		if plain, ok, _ := r.Body.text(codingOf(r.Fields, data)); ok {
			data = plain
		}
	}
	if mode == bodyRegex || mode == bodyPartial {
		d.f.check, d.f.text = mode, string(data)
		return nil
	}
	ct, _ := exchange.Get(r.Fields, "content-type")
	media, params, _ := mime.ParseMediaType(ct)
	if mode == bodyJSON {
		media = "application/json"
	}
	if d.calls(r, data) {
		return nil
	}
	if isProtobuf(media) {
		data = d.pruned(data, r.URL)
	}
	if !d.typed(data, media, params["boundary"]) {
		d.emit("body", 0, string(data))
	}
	return nil
}

// typed takes a body of media type apart by its type, and is false, with nothing
// told, if it is not of a type that is known.
func (d *reader) typed(data []byte, media, boundary string) bool {
	switch {
	case isJSON(media) && !d.off.has(lawJSON):
		n, err := parseTree(data)
		if err != nil {
			return false
		}
		d.at = append(d.at[:0], "body.json"...)
		d.document(n)
		d.at = d.at[:0]
	case media == "application/x-www-form-urlencoded" && !d.off.has(lawForm):
		d.emit("body", 0, "form")
		for _, p := range d.pairsOf(string(data)) {
			if !d.dropsName(p.name) {
				d.emitAt("body.form", p.name, p.value)
			}
		}
	case strings.HasPrefix(media, "multipart/") && !d.off.has(lawParts):
		return d.parts(data, boundary)
	case isXML(media) && !d.off.has(lawXML):
		return d.xml(data)
	case isProtobuf(media) && !d.off.has(lawFields):
		d.at = append(d.at[:0], "body.proto"...)
		ok := d.message(data, 0)
		d.at = d.at[:0]
		return ok
	case media == "application/graphql":
		d.f.read = isRead(string(data))
		d.emit("body", 0, d.foldQuery(string(data)))
	default:
		return false
	}
	return true
}

// isJSON says whether media type m is JSON.
func isJSON(m string) bool {
	return m == "application/json" || strings.HasSuffix(m, "+json") || m == "text/json" || strings.HasPrefix(m, "application/x-amz-json-")
}

// document takes a JSON body apart. A JSON-RPC call's id, also one of a batch, is
// kept for its answer; a GraphQL query counts without its white space.
func (d *reader) document(n *node) {
	for _, p := range d.drop {
		p.prune(n)
	}
	calls := []*node{n}
	if n.kind == '[' {
		calls = n.kids
	}
	for _, c := range calls {
		d.call(c)
	}
	d.value(n)
}

// call looks whether an object is a JSON-RPC call or a GraphQL request.
func (d *reader) call(n *node) {
	if id := n.get("id"); id != nil && n.get("jsonrpc").isString() && id.kind == 's' && !d.off.has(lawRPC) {
		d.f.ids = append(d.f.ids, id.tok)
		id.tok = `"*"`
	}
	q := n.get("query")
	if !q.isString() {
		if n.get("extensions").get("persistedQuery") != nil {
			d.f.read = true // which of the two, only the server knows
		}
		return
	}
	text := unquote(q.tok)
	if folded := d.foldQuery(text); isGraphQL(text) {
		d.f.read = d.f.read || isRead(text)
		q.tok = quote(folded)
	}
}

// value tells n: members by name, strings by what they say, numbers as they are
// written.
func (d *reader) value(n *node) {
	switch n.kind {
	case '{':
		d.put('{', strconv.Itoa(len(n.mem)), false)
		slices.SortStableFunc(n.mem, func(a, b member) int { return strings.Compare(a.key, b.key) })
		for _, m := range n.mem {
			long := len(d.at)
			d.at = appendPointer(d.at, m.key)
			d.value(m.val)
			d.at = d.at[:long]
		}
	case '[':
		d.put('[', strconv.Itoa(len(n.kids)), false)
		for i, k := range n.kids {
			long := len(d.at)
			d.at = strconv.AppendInt(append(d.at, '/'), int64(i), 10)
			d.value(k)
			d.at = d.at[:long]
		}
	default:
		if n.isString() {
			d.put('s', unquote(n.tok), false)
		} else {
			d.put('n', n.tok, false)
		}
	}
}

// appendPointer appends a key to a JSON pointer (RFC 6901).
func appendPointer(b []byte, key string) []byte {
	b = append(b, '/')
	for i := range len(key) {
		switch key[i] {
		case '~':
			b = append(b, "~0"...)
		case '/':
			b = append(b, "~1"...)
		default:
			b = append(b, key[i])
		}
	}
	return b
}

// parts tells the parts of a multipart body. If it is not one, nothing is told
// and the result is false.
func (d *reader) parts(b []byte, boundary string) bool {
	if boundary == "" {
		return false
	}
	var parts []string
	for r := multipart.NewReader(bytes.NewReader(b), boundary); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return false
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return false
		}
		var head []string
		for k, vs := range p.Header {
			head = append(head, k+": "+strings.Join(vs, ", "))
		}
		slices.Sort(head)
		parts = append(parts, strings.Join(head, "\n"), string(data))
	}
	d.emit("body", 0, strconv.Itoa(len(parts)/2)+" parts")
	for i, p := range parts {
		at := "body.part-head"
		if i%2 == 1 {
			at = "body.part"
		}
		d.emitAt(at, strconv.Itoa(i/2), p)
	}
	return true
}
