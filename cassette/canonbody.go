package cassette

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// bodySum is a digest of what r's body means.
func bodySum(r *Request) (sum [sha256.Size]byte, err error) {
	if _, typed := exchange.Get(r.Fields, "content-type"); !typed && r.Body.Size == 0 && r.Body.open == nil {
		return sha256.Sum256([]byte("5:bytes0:")), nil // most requests; as below
	}
	h := sha256.New()
	err = putBody(h, r)
	h.Sum(sum[:0])
	return sum, err
}

// putBody hashes what r's body means: content coding undone, JSON by its
// values, forms by their names, parts without their boundary, else the bytes.
func putBody(h hash.Hash, r *Request) error {
	data, ok, err := r.Body.Whole()
	if err != nil {
		return err
	}
	if !ok {
		sum, err := r.Body.Sum()
		put(h, "sha256 "+sum)
		return err
	}
	plain, ok := decoded(data, coding(r.Fields))
	if !ok {
		plain = data
	}
	ct, _ := exchange.Get(r.Fields, "content-type")
	media, params, _ := mime.ParseMediaType(ct)
	switch {
	case isJSON(media):
		if n, err := parseTree(plain); err == nil {
			put(h, "json")
			putTree(h, n)
			return nil
		}
	case media == "application/x-www-form-urlencoded":
		put(h, "form")
		for _, p := range (rules{}).queryOf(string(plain)) {
			put(h, p.name)
			put(h, p.value)
		}
		return nil
	case strings.HasPrefix(media, "multipart/"):
		if putParts(h, plain, params["boundary"]) {
			return nil
		}
	}
	put(h, "bytes")
	put(h, string(plain))
	return nil
}

// isJSON says whether media type m is JSON.
func isJSON(m string) bool {
	return m == "application/json" || strings.HasSuffix(m, "+json") || m == "text/json"
}

// putTree hashes n: members by name, strings by what they say, numbers as
// they are written.
func putTree(h hash.Hash, n *node) {
	put(h, string(n.kind))
	switch {
	case n.isString():
		put(h, quote(unquote(n.tok)))
	case n.kind == 's':
		put(h, n.tok)
	}
	for _, m := range sortedMembers(n) {
		put(h, m.key)
		putTree(h, m.val)
	}
	for _, k := range n.kids {
		putTree(h, k)
	}
	put(h, "end")
}

func sortedMembers(n *node) []member {
	ms := slices.Clone(n.mem)
	slices.SortStableFunc(ms, func(a, b member) int { return strings.Compare(a.key, b.key) })
	return ms
}

// putParts hashes the parts of a multipart body. If it is not one, nothing is
// hashed and the result is false.
func putParts(h hash.Hash, b []byte, boundary string) bool {
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
	put(h, "parts")
	for _, p := range parts {
		put(h, p)
	}
	return true
}
