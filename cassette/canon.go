package cassette

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// A form is what a request amounts to, as keys and lists: two requests with the
// same sum are equal but for their secrets, which are compared apart; those with
// the same loose differ at most where a value is volatile, if there is evidence.
type form struct {
	sum     [sha256.Size]byte
	loose   [sha256.Size]byte
	route   string // method, scheme, host, port and path
	bucket  string // the route with the random values in its path as their shapes
	query   []pair
	hard    []pair
	secrets []pair
	soft    []pair
	cond    []pair   // conditional fields
	keys    []pair   // idempotency keys: of equal requests they tell a retry from the next
	ids     []string // of JSON-RPC calls, as JSON
	tokens  []string // random values in it, as tokenKey has them
	veiled  []string // where there are placeholders, outside of header fields
	check   string   // how its body is compared beside the sum: "regex", "partial" or not at all
	text    string   // the body, if it is
	read    bool     // a GraphQL query: it asks for something that is there
	of      *Request // that it is the form of; nil if values in it were replaced
}

// A pair is a name and a value in canonical form. In secrets, the name says
// where, and the value is in the cassette's form: a placeholder or the secret.
type pair struct{ name, value string }

// An atom is one thing that a request says: where and what. A request is what
// its atoms are, in their order.
type atom struct {
	at   string // "method", "path/2", "query/page", "header/range", "body.json/a/0"
	val  string
	kind byte // of JSON: 's' a string, 'n' another scalar, '{' and '['; '=' of a pair; else 0
}

// A reader takes a request apart under rules. Each of its atoms goes to the two
// sums, or to each if that is set.
type reader struct {
	*rules
	f    *form
	at   []byte
	each func(at []byte, kind byte, val string)
	// sub replaces random values and secrets by what they stand for; nil: not.
	sub func(at []byte, val string) string

	sum, loose hash.Hash
	room       []byte
	masked     map[string]bool // where loose says nothing of the value
}

// formOf is the canonical form of r.
func (u *rules) formOf(r *Request) (form, error) { return u.formAs(r, nil) }

// formAs is formOf of r as it is when sub has replaced its values.
func (u *rules) formAs(r *Request, sub func(at []byte, val string) string) (form, error) {
	var f form
	if sub == nil {
		f.of = r
	}
	d := reader{rules: u, f: &f, sub: sub, sum: sha256.New(), loose: sha256.New(), room: make([]byte, 0, 512)}
	if err := d.request(r); err != nil {
		return form{}, err
	}
	d.sum.Sum(f.sum[:0])
	d.loose.Sum(f.loose[:0])
	return f, nil
}

// atomsOf are the atoms of r.
func (u *rules) atomsOf(r *Request) ([]atom, error) {
	var out []atom
	d := reader{rules: u, f: &form{}, each: func(at []byte, kind byte, val string) { out = append(out, atom{string(at), val, kind}) }}
	err := d.request(r)
	return out, err
}

// request takes r apart.
func (d *reader) request(r *Request) error {
	query := d.url(r)
	d.masked = d.masks[d.f.bucket]
	d.f.query = d.queryOf(query)
	for _, p := range d.f.query {
		d.emitAt("query", p.name, p.value)
	}
	d.f.headers(d.rules, r.Fields)
	for _, p := range d.f.hard {
		d.emitAt("header", p.name, p.value)
	}
	return d.body(r)
}

// url takes r's method and URL apart, and returns the query.
func (d *reader) url(r *Request) string {
	scheme, host, path, query := cutURL(d.rewritten(r.URL))
	base := r.Method + " " + scheme + "://" + d.aliased(scheme, foldPort(scheme, host))
	path = d.normalPath(path)
	t := template{}
	if len(d.templates) > 0 {
		t = d.templateOf(strings.Split(path, "/")[1:])
	}
	d.emit("method", 0, base)
	route, bucket, odd := append(make([]byte, 0, 128), base...), []byte(nil), false
	i := 0
	for s := range strings.SplitSeq(path[1:], "/") {
		s = t.apply(i, s)
		if d.sub != nil {
			s = d.sub([]byte("path"), s)
		}
		if !odd && (t.veils(i) || nextToken(s, 0).shape != "") {
			odd, bucket = true, append(make([]byte, 0, 128), route...)
		}
		route = append(append(route, '/'), s...)
		switch {
		case t.veils(i):
			bucket = append(bucket, "/*"...)
		case odd:
			bucket = maskTokens(append(bucket, '/'), s)
		}
		d.at = strconv.AppendInt(append(d.at[:0], "path/"...), int64(i), 10)
		d.tell(0, s, t.veils(i))
		i++
	}
	d.at = d.at[:0]
	d.f.route = string(route)
	d.f.bucket = d.f.route
	if odd {
		d.f.bucket = string(bucket)
	}
	if r.Target != "" {
		d.f.route += " " + printable(r.Target)
		d.f.bucket = d.f.route
		d.emit("target", 0, printable(r.Target))
	}
	return query
}

// cutURL cuts an absolute URL, its scheme and host in lower case, without its
// fragment. A placeholder has a # of its own.
func cutURL(url string) (scheme, host, path, query string) {
	scheme, rest, _ := strings.Cut(url, "://")
	for i := 0; i < len(rest); i++ {
		if rest[i] == '{' && strings.HasPrefix(rest[i:], secretOpen) {
			i += max(strings.Index(rest[i:], secretClose), 0)
		} else if rest[i] == '#' {
			rest = rest[:i]
		}
	}
	host = rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host = rest[:i]
	}
	path, query, _ = strings.Cut(rest[len(host):], "?")
	if path == "" {
		path = "/"
	}
	return strings.ToLower(scheme), strings.ToLower(host), path, query
}

// emit tells of an atom at a place of fixed name.
func (d *reader) emit(at string, kind byte, val string) {
	d.at = append(d.at[:0], at...)
	d.put(kind, val, false)
	d.at = d.at[:0]
}

// emitAt is emit of one among several of a kind. A value that begins with = is a
// pair's, as pairsOf has it.
func (d *reader) emitAt(at, name, val string) {
	d.at = append(append(append(d.at[:0], at...), '/'), name...)
	bare, eq := strings.CutPrefix(val, "=")
	kind := byte(0)
	if eq {
		kind = '='
	}
	d.put(kind, bare, false)
	d.at = d.at[:0]
}

// put tells of an atom at d.at. If it is veiled, loose does not have its value.
func (d *reader) put(kind byte, val string, veiled bool) {
	if d.sub != nil {
		val = d.sub(d.at, val)
	}
	d.tell(kind, val, veiled)
}

// tell is put of what sub has seen already.
func (d *reader) tell(kind byte, val string, veiled bool) {
	if d.each != nil {
		d.each(d.at, kind, val)
		return
	}
	if strings.Contains(val, secretOpen) {
		d.f.veiled = append(d.f.veiled, string(d.at))
	}
	head := append(appendCountedBytes(d.room[:0], d.at), kind)
	d.room = appendCounted(head, val)
	d.sum.Write(d.room)
	d.room = d.room[:len(head)]
	if veiled || d.masked[string(d.at)] {
		d.room = append(d.room, '*')
		d.loose.Write(d.room)
		return
	}
	for t := nextToken(val, 0); t.shape != ""; t = nextToken(val, t.to) {
		d.f.tokens = append(d.f.tokens, tokenKey(val[t.from:t.to], t.shape))
	}
	if unit := d.unitOf(d.at, kind, val); unit != "" {
		d.room = append(append(d.room, '\x00'), unit...)
	} else {
		d.room = maskTokens(d.room, val)
	}
	d.loose.Write(append(d.room, '\x00'))
}

// unitOf is the unit of the moment that an atom may be, "" if it is none: a moment
// in a path names something.
func (u *rules) unitOf(at []byte, kind byte, val string) string {
	if u.off.has(lawClock) || bytes.HasPrefix(at, []byte("path/")) {
		return ""
	}
	_, unit := clockOf(unescaped(kind, val))
	return unit
}

// appendCounted appends s with its length in front, so that no two lists look alike.
func appendCounted(b []byte, s string) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
	return append(b, s...)
}

func appendCountedBytes(b, s []byte) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
	return append(b, s...)
}

// put hashes s with its length in front.
func put(h hash.Hash, s string) { h.Write(appendCounted(nil, s)) }

// foldPort is host in lower case without the port that scheme implies.
func foldPort(scheme, host string) string {
	switch {
	case scheme == "http" || scheme == "ws":
		return strings.TrimSuffix(host, ":80")
	case scheme == "https" || scheme == "wss":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

// normal is s with percent-encoding normalised: what need not be encoded is
// not, and what is has upper-case digits (RFC 3986, 6.2.2).
func normal(s string, plus bool) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return c <= 0x20 || c >= 0x7f || c == '%' || c == '+' && plus }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c, encoded := s[i], false
		if c == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c, encoded = byte(v), true
				i += 2
			}
		}
		switch {
		case plus && c == '+' && !encoded:
			b.WriteString("%20")
		case unreserved(c) || !encoded && c > 0x20 && c < 0x7f:
			b.WriteByte(c)
		default:
			b.WriteString("%" + strings.ToUpper(string([]byte{hexDigit(c >> 4), hexDigit(c & 15)})))
		}
	}
	return b.String()
}

func hexDigit(v byte) byte { return "0123456789abcdef"[v] }

// unreserved is RFC 3986, 2.3.
func unreserved(c byte) bool { return alnum(c) || strings.IndexByte("-._~", c) >= 0 }

// normal is the package's, unless the law of it is off.
func (u *rules) normal(s string, plus bool) string {
	if u.off.has(lawPercent) {
		return s
	}
	return normal(s, plus)
}

func (u *rules) normalPath(p string) string { return u.normal(p, false) }

// queryOf is the query as a multiset by name: order counts within a name only.
func (u *rules) queryOf(q string) []pair {
	return slices.DeleteFunc(u.pairsOf(q), func(p pair) bool { return u.query[strings.ToLower(p.name)] })
}

// pairsOf are the pairs of a query or a form, sorted by name.
func (u *rules) pairsOf(q string) []pair {
	if q == "" {
		return nil
	}
	ps := make([]pair, 0, 1+strings.Count(q, "&"))
	for part := range strings.SplitSeq(q, "&") {
		k, v, eq := strings.Cut(part, "=")
		p := pair{u.normal(k, true), u.normal(v, true)}
		if eq {
			p.value = "=" + p.value
		}
		ps = append(ps, p)
	}
	if !u.off.has(lawSignature) {
		ps = unsigned(ps)
	}
	if !u.off.has(lawQueryOrder) {
		slices.SortStableFunc(ps, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	}
	return ps
}

// unsigned is ps with the values of signatures and cache busters masked. A
// signature is known by the whole set of its names.
func unsigned(ps []pair) []pair {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool {
			return !slices.ContainsFunc(ps, func(p pair) bool { return p.name == n })
		})
	}
	if !slices.ContainsFunc(ps, func(p pair) bool { return ofSignature(p.name) }) {
		return ps // as most are
	}
	amz, goog, cloudfront := has("X-Amz-Signature"), has("X-Goog-Signature"), has("Signature", "Key-Pair-Id")
	oauth, azure := has("oauth_signature", "oauth_nonce", "oauth_timestamp"), has("sig", "se", "sv")
	engine := has("EIO", "transport") // Engine.IO's, below Socket.IO
	var out []pair
	for _, p := range ps {
		switch {
		case amz && strings.HasPrefix(p.name, "X-Amz-"), goog && strings.HasPrefix(p.name, "X-Goog-"):
			continue
		case cloudfront && slices.Contains([]string{"Signature", "Expires", "Key-Pair-Id", "Policy"}, p.name),
			oauth && slices.Contains([]string{"oauth_signature", "oauth_nonce", "oauth_timestamp"}, p.name),
			azure && slices.Contains([]string{"se", "st", "ske", "skt"}, p.name),
			p.name == "_", p.name == "cb", p.name == "sig", engine && p.name == "t":
			p.value = "*"
		}
		out = append(out, p)
	}
	for _, signed := range []struct {
		name string
		is   bool
	}{{"X-Amz-*", amz}, {"X-Goog-*", goog}} {
		if signed.is {
			out = append(out, pair{signed.name, "*"})
		}
	}
	return out
}

// ofSignature says whether a name may be one of a signature's, or of a cache buster.
func ofSignature(name string) bool {
	switch name {
	case "X-Amz-Signature", "X-Goog-Signature", "Signature", "oauth_signature", "sig", "_", "cb", "EIO":
		return true
	}
	return false
}

// rekey computes i's form.
func (i *Interaction) rekey(u rules) (err error) {
	i.key, err = u.formOf(i.asked())
	return err
}
