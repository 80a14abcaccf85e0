package cassette

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/cassette/descriptor"
	"github.com/serge-net/serge-net/exchange"
)

// messageOf is the type of the messages that from sends in the call of url, nil if
// it is not known.
func messageOf(names *descriptor.Set, url string, from exchange.Side) *descriptor.Message {
	if names.Empty() {
		return nil
	}
	in, out := names.Method(servicePath(url))
	if from == exchange.Server {
		return out
	}
	return in
}

// namedView is the message b of type m as an object: its fields by name, and by
// number where they have none. It is nil if b is no such message.
func namedView(names *descriptor.Set, b []byte, m *descriptor.Message, depth int) *node {
	fields, ok := protoFields(b)
	if !ok || depth > protoMost {
		return nil
	}
	n := &node{kind: '{'}
	for _, f := range fields {
		d := m.Field(f.number)
		if d == nil {
			n = n.with(strconv.FormatUint(f.number, 10), f.view(depth))
			continue
		}
		for _, v := range f.named(names, d, depth) {
			switch old := n.get(d.Name); {
			case d.Kind == descriptor.KindMessage && d.Repeated && isMap(names, d):
				if old == nil {
					old = &node{kind: '{'}
					n.add(d.Name, old)
				}
				old.add(mapKey(v), orNull(v.get("value")))
			case d.Repeated && old != nil:
				old.kids = append(old.kids, v)
			case d.Repeated:
				n.add(d.Name, list(v))
			default:
				n = n.with(d.Name, v)
			}
		}
	}
	return n
}

// isMap says whether d is a map.
func isMap(names *descriptor.Set, d *descriptor.Field) bool {
	m := names.Message(d.Type)
	return m != nil && m.IsMap
}

// mapKey is the key of an entry of a map, as a string.
func mapKey(entry *node) string {
	k := entry.get("key")
	switch {
	case k == nil:
		return ""
	case k.isString():
		return unquote(k.tok)
	}
	return k.tok
}

// orNull is n, or null if that is not there.
func orNull(n *node) *node {
	if n == nil {
		return null()
	}
	return n
}

// named are the values of f, which is d: several if it is packed.
func (f protoField) named(names *descriptor.Set, d *descriptor.Field, depth int) []*node {
	if f.kind != wireLen {
		return []*node{numberNode(names, d, f.num())}
	}
	switch d.Kind {
	case descriptor.KindString:
		if s := string(f.val); valid(s) == s {
			return []*node{strNode(s)}
		}
		fallthrough
	case descriptor.KindBytes:
		return []*node{(&node{}).add("base64", strNode(base64.StdEncoding.EncodeToString(f.val)))}
	case descriptor.KindMessage:
		if v := namedView(names, f.val, names.Message(d.Type), depth+1); v != nil {
			return []*node{v}
		}
		return []*node{f.view(depth)}
	}
	var out []*node
	for b := f.val; len(b) > 0; {
		var n uint64
		k := 0
		switch d.Kind {
		case descriptor.KindDouble, descriptor.KindFixed64, descriptor.KindSfixed64:
			if k = 8; len(b) >= k {
				n = binary.LittleEndian.Uint64(b)
			}
		case descriptor.KindFloat, descriptor.KindFixed32, descriptor.KindSfixed32:
			if k = 4; len(b) >= k {
				n = uint64(binary.LittleEndian.Uint32(b))
			}
		default:
			n, k = binary.Uvarint(b)
		}
		if k <= 0 || k > len(b) {
			return []*node{f.view(depth)}
		}
		out, b = append(out, numberNode(names, d, n)), b[k:]
	}
	return out
}

// numberNode is n, as it is on the wire, as d means it.
func numberNode(names *descriptor.Set, d *descriptor.Field, n uint64) *node {
	token := func(s string) *node { return &node{kind: 's', tok: s} }
	float := func(v float64, bits int) *node {
		s := strconv.FormatFloat(v, 'g', -1, bits)
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return strNode(s)
		}
		return token(s)
	}
	switch d.Kind {
	case descriptor.KindBool:
		return token(strconv.FormatBool(n != 0))
	case descriptor.KindInt32, descriptor.KindInt64, descriptor.KindSfixed64:
		return token(strconv.FormatInt(int64(n), 10))
	case descriptor.KindSfixed32:
		return token(strconv.FormatInt(int64(int32(n)), 10))
	case descriptor.KindSint32, descriptor.KindSint64:
		return token(strconv.FormatInt(int64(n>>1)^-int64(n&1), 10))
	case descriptor.KindDouble:
		return float(math.Float64frombits(n), 64)
	case descriptor.KindFloat:
		return float(float64(math.Float32frombits(uint32(n))), 32)
	case descriptor.KindEnum:
		if e := names.Enum(d.Type); e != nil && e.Values[int32(n)] != "" {
			return strNode(e.Values[int32(n)])
		}
		return token(strconv.FormatInt(int64(int32(n)), 10))
	}
	return token(strconv.FormatUint(n, 10))
}

// nameFields has the messages of is show their fields by the names that are known.
func nameFields(is []*Interaction, names *descriptor.Set) error {
	names = reflected(names.Clone(), is)
	for _, i := range is {
		if err := i.nameFields(names); err != nil {
			return fmt.Errorf("read messages of %s: %w", i.Request.URL, err)
		}
	}
	return nil
}

// nameFields has the messages of i show their fields by the names in names.
func (i *Interaction) nameFields(names *descriptor.Set) error {
	if i.Call == nil || names.Empty() {
		return nil
	}
	halves := i.halves()
	for side, m := range halves {
		if m != nil && !m.Body.inCall() {
			halves[side] = nil
		}
	}
	_, err := i.Call.payloads(halves, func(n int, b []byte) {
		c := &i.Call.Messages[n]
		typ, body := messageOf(names, i.Request.URL, c.From), halves[c.From].Body
		if typ == nil || c.Event != CallSays || body.marked || body.frames.json {
			return
		}
		if plain, ok := (frame{c.Flags, b[framePrefix:]}).plain(body.frames.coding); ok && len(plain) > 0 && len(plain) <= base64Most {
			if v := namedView(names, plain, typ, 0); v != nil {
				c.shown = v.mapStrings(escape)
			}
		}
	})
	return err
}

// fieldName is the place of an atom in a message of gRPC by the names of its fields,
// as people read it, and false if it is none or they are not known. The bucket is
// that of its request.
func (u *rules) fieldName(bucket, at string) (string, bool) {
	rest, ok := strings.CutPrefix(at, "body.grpc/")
	nth := ""
	if ok {
		nth, rest, _ = strings.Cut(rest, "/")
		nth += "."
	} else if rest, ok = strings.CutPrefix(at, "body.proto/"); !ok {
		return "", false
	}
	_, url, _ := strings.Cut(bucket, " ")
	m := messageOf(u.fields, url, exchange.Client)
	if m == nil || rest == "" {
		return "", false
	}
	var out []string
	for part := range strings.SplitSeq(rest, "/") {
		n, _ := strconv.ParseUint(part, 10, 64)
		if d := m.Field(n); d != nil {
			part, m = d.Name, u.fields.Message(d.Type)
		} else {
			m = nil
		}
		out = append(out, part)
	}
	return "body field " + nth + strings.Join(out, "."), true
}

// pruned is the message b of a request for url without what no rule counts.
func (u *rules) pruned(b []byte, url string) []byte {
	if len(u.drop) == 0 {
		return b
	}
	m := messageOf(u.fields, url, exchange.Client)
	for _, p := range u.drop {
		b = u.prune(b, p, m, 0)
	}
	return b
}

// prune is the message b of type m, which may be nil, without the fields that p
// names, by their names or by their numbers.
func (u *rules) prune(b []byte, p jsonPath, m *descriptor.Message, depth int) []byte {
	fields, ok := protoFields(b)
	if !ok || depth > protoMost {
		return b
	}
	all, seen := map[uint64]int{}, map[uint64]int{}
	for _, f := range fields {
		all[f.number]++
	}
	var out []byte
	for _, f := range fields {
		d, nth := m.Field(f.number), seen[f.number]
		seen[f.number]++
		var below *descriptor.Message
		if d != nil {
			below = u.fields.Message(d.Type)
		}
		val := f.val
		if p[0].deep && f.kind == wireLen {
			val = u.prune(val, p, below, depth+1)
		}
		if p[0].names(strconv.FormatUint(f.number, 10)) || d != nil && p[0].names(d.Name) {
			rest, many := p[1:], all[f.number] > 1 || d != nil && d.Repeated
			if len(rest) > 0 && many && (rest[0].index != nil || rest[0].any) {
				if !rest[0].counts(nth, all[f.number]) {
					rest = nil
					out = append(out, f.raw...)
					continue
				}
				rest = rest[1:]
			}
			if len(rest) == 0 {
				continue
			}
			val = u.prune(val, rest, below, depth+1)
		}
		if f.kind != wireLen || len(val) == len(f.val) {
			out = append(out, f.raw...)
			continue
		}
		out = binary.AppendUvarint(out, f.number<<3|wireLen)
		out = append(binary.AppendUvarint(out, uint64(len(val))), val...)
	}
	return out
}

// reflected adds to names what servers told of themselves by reflection in the
// calls of is (github.com/grpc/grpc/blob/master/src/proto/grpc/reflection/v1/reflection.proto).
// What is no descriptor is left out.
func reflected(names *descriptor.Set, is []*Interaction) *descriptor.Set {
	const fileDescriptors, file = 4, 1
	for _, i := range is {
		if i.Call == nil || i.Response == nil || !strings.HasPrefix(i.Call.Service, "grpc.reflection.") {
			continue
		}
		data, ok, err := i.Response.Body.Whole()
		if !ok || err != nil {
			continue
		}
		all, _ := cutFrames(data)
		for _, f := range all {
			answer, _ := protoFields(f.data)
			for _, a := range answer {
				if a.number != fileDescriptors {
					continue
				}
				files, _ := protoFields(a.val)
				for _, d := range slices.DeleteFunc(files, func(d protoField) bool { return d.number != file }) {
					if names == nil {
						names = &descriptor.Set{}
					}
					_ = names.AddFile(d.val)
				}
			}
		}
	}
	return names
}
