package cassette

import (
	"slices"
	"strconv"
)

// calls tells the messages in data, r's body, if it is of gRPC or its like.
func (d *reader) calls(r *Request, data []byte) bool {
	fr, ok := framingOf(r.Fields)
	return ok && !d.off.has(lawFields) && d.frames(data, fr, r.URL)
}

// frames tells the messages of a body in which they come one after the other, by
// their fields, or what JSON says. If it is none, nothing is told and the result
// is false.
func (d *reader) frames(b []byte, fr framing, url string) bool {
	all, rest := cutFrames(b)
	if len(rest) > 0 {
		return false
	}
	d.emit("body", 0, strconv.Itoa(len(all))+" messages")
	for i, f := range all {
		d.at = strconv.AppendInt(append(d.at[:0], "body.grpc/"...), int64(i), 10)
		m, ok := f.plain(fr.coding)
		switch {
		case !ok:
			d.put('b', string(m), false)
		case fr.json:
			if n, err := parseTree(m); err == nil {
				d.document(n)
			} else {
				d.put(0, string(m), false)
			}
		case !d.message(d.pruned(m, url), 0):
			d.put(0, string(m), false)
		}
		d.at = d.at[:0]
	}
	return true
}

// message tells a protobuf message: its fields by number, those of one number in
// their order. If it is none, nothing is told and the result is false.
func (d *reader) message(b []byte, depth int) bool {
	fields, ok := protoFields(b)
	if !ok || depth > protoMost {
		return false
	}
	slices.SortStableFunc(fields, func(a, b protoField) int { return int(a.number) - int(b.number) })
	d.put('{', strconv.Itoa(len(fields)), false)
	for _, f := range fields {
		long := len(d.at)
		d.at = strconv.AppendUint(append(d.at, '/'), f.number, 10)
		switch {
		case f.kind != wireLen:
			d.put(byte('0'+f.kind), strconv.FormatUint(f.num(), 10), false)
		case reads(f.val) || !d.message(f.val, depth+1):
			d.put('s', string(f.val), false)
		}
		d.at = d.at[:long]
	}
	return true
}
