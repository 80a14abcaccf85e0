package foreign

import (
	"encoding/hex"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

func isNock(v *value) bool {
	return v != nil && v.kind == '[' && len(v.kids) > 0 && v.kids[0].peek("scope") != nil && v.kids[0].peek("path") != nil
}

// readNock reads the JSON of nock's recorder (output_objects) and of nock-back.
func readNock(d *draft, root *value) error {
	for _, v := range root.list() {
		var e Exchange
		var err error
		e.URL = v.str("scope") + v.str("path")
		e.Request = exchange.Head{Method: v.str("method"), Version: "1.1", Fields: d.fieldsOf(v.get("reqheaders"))}
		if e.RequestBody, err = nockBody(v.get("body"), false, false); err != nil {
			return err
		}
		raw := v.get("rawHeaders")
		fields := d.fieldsOf(v.get("headers"))
		if l := raw.list(); len(l) > 0 && l[0].kind == 's' {
			fields = nil
			for i := 0; i+1 < len(l); i += 2 {
				fields = append(fields, exchange.Field{Name: l[i].text, Value: l[i+1].text})
			}
		} else if raw != nil {
			fields = d.fieldsOf(raw)
		}
		binary := v.str("responseIsBinary") == "true"
		if e.ResponseBody, err = nockBody(v.get("response"), binary, coding(fields) != ""); err != nil {
			return err
		}
		e.Response = d.answer(v, "1.1", v.int("status"), "", fields)
		d.add(v, e, either)
	}
	return nil
}

// nockBody is a body: text, JSON that nock parsed, hex of a binary one, or the
// pieces of a compressed one in hex.
func nockBody(v *value, binary, compressed bool) ([]byte, error) {
	if v == nil || v.kind == 'z' {
		return nil, nil
	}
	if v.kind == '[' && compressed {
		var text strings.Builder
		for _, p := range v.list() {
			text.WriteString(p.text)
		}
		b, err := hex.DecodeString(text.String())
		if err != nil {
			return nil, v.fault("a compressed body: %v", err)
		}
		return b, nil
	}
	if v.kind == 's' {
		if !binary {
			return []byte(v.text), nil
		}
		b, err := hex.DecodeString(v.text)
		if err != nil {
			return nil, v.fault("a binary body: %v", err)
		}
		return b, nil
	}
	v.all()
	return v.json(), nil
}
