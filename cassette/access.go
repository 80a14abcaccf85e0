package cassette

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// The readers of nodes are total: what is absent or of another kind is empty.

func (n *node) members() []member {
	if n == nil {
		return nil
	}
	return n.mem
}

func (n *node) elements() []*node {
	if n == nil {
		return nil
	}
	return n.kids
}

// text is the scalar at key as a string.
func (n *node) text(key string) string { return n.get(key).scalar() }

// scalar is n as a string.
func (n *node) scalar() string {
	switch {
	case n.isString():
		return unquote(n.tok)
	case n.isNull() || n.kind != 's':
		return ""
	}
	return n.tok
}

// texts are the strings of a list.
func (n *node) texts() []string {
	var out []string
	for _, k := range n.elements() {
		out = append(out, k.scalar())
	}
	return out
}

// bytes is what bytesNode wrote.
func (n *node) bytes() string {
	switch {
	case n.isNull():
		return ""
	case n.kind == '{':
		b, _ := base64.StdEncoding.DecodeString(n.text("base64"))
		return string(b)
	}
	return n.scalar()
}

func (n *node) number(key string) int64 { return numberOf(n.get(key)) }

func numberOf(n *node) int64 {
	if n == nil {
		return 0
	}
	v, _ := strconv.ParseInt(n.tok, 10, 64)
	return v
}

// times are the milliseconds of a list.
func (n *node) times() []time.Duration {
	var out []time.Duration
	for _, k := range n.elements() {
		out = append(out, time.Duration(numberOf(k))*time.Millisecond)
	}
	return out
}

// with is a copy of n whose member key is v, in its place or at the end.
func (n *node) with(key string, v *node) *node {
	c := &node{kind: n.kind, mem: append([]member(nil), n.mem...)}
	for i := range c.mem {
		if c.mem[i].key == key {
			c.mem[i].val = v
			return c
		}
	}
	return c.add(key, v)
}

// without is a copy of n that has no member key.
func (n *node) without(key string) *node {
	is := func(m member) bool { return m.key == key }
	return &node{kind: n.kind, mem: slices.DeleteFunc(slices.Clone(n.mem), is)}
}

// joined is a copy of n with the members of o that it does not have.
func (n *node) joined(o *node) *node {
	c := &node{kind: n.kind, mem: slices.Clone(n.mem)}
	for _, m := range o.members() {
		if c.get(m.key) == nil {
			c.mem = append(c.mem, m)
		}
	}
	return c
}

// last is n with its member key at the end.
func (n *node) last(key string) *node {
	at := slices.IndexFunc(n.mem, func(m member) bool { return m.key == key })
	m := n.mem[at]
	n.mem = append(slices.Delete(n.mem, at, at+1), m)
	return n
}

// compact is n as the shortest JSON.
func (n *node) compact() string {
	var b bytes.Buffer
	style{comma: ",", colon: ":"}.print(&b, n, 0)
	return b.String()
}

// valid is s as UTF-8, for where bytes that are none have no meaning.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// comparePlaceholders orders by class, then by number.
func comparePlaceholders(a, b string) int {
	number := func(s string) int {
		_, n, _ := strings.Cut(strings.TrimSuffix(s, secretClose), "#")
		v, _ := strconv.Atoi(n)
		return v
	}
	return cmp.Or(strings.Compare(classOf(a), classOf(b)), number(a)-number(b))
}

// coding is the content coding that fields name, "" for none.
func coding(fields []exchange.Field) string {
	v, _ := exchange.Get(fields, "content-encoding")
	if v = strings.ToLower(strings.TrimSpace(v)); v == "identity" {
		return ""
	}
	return v
}

// hostOf is the host of an absolute URL, with its port if it has one.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// bodies are those of i.
func (i *Interaction) bodies() []Body {
	out := []Body{i.Request.Body}
	if i.Response != nil {
		out = append(out, i.Response.Body)
	}
	for _, m := range i.Passed() {
		out = append(out, m.Body)
	}
	return out
}

// verify reads b and says whether it is what the cassette says it is.
func (b Body) verify() error {
	if b.file == "" {
		return nil
	}
	r, err := b.Open()
	if err != nil {
		return fmt.Errorf("body file %s: %w", b.file, reason(err))
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, r)
	switch got := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
		return fmt.Errorf("body file %s: %w", b.file, reason(err))
	case n != b.Size:
		return fmt.Errorf("body file %s has %d bytes, not %d", b.file, n, b.Size)
	case b.sum != "" && got != b.sum:
		return fmt.Errorf("body file %s has sha256 %s, not %s", b.file, got, b.sum)
	}
	return nil
}
