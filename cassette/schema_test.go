package cassette

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/serge-net/serge-net/exchange"
)

// schemaFile is the published form of what this package writes.
const schemaFile = "../docs/cassette.schema.json"

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fits says how text does not fit the schema, or nil.
func fits(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// TestSchemaFits holds that what is written, and what is in testdata in today's
// form, is what the schema says.
func TestSchemaFits(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range append(files, "testdata/v"+Version+".json") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := fits(t, s, b); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for name, es := range recordings() {
		_, text, _ := script(t, es)
		if err := fits(t, s, []byte(text)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// recordings are exchanges in many forms.
func recordings() map[string][]exchange.Event {
	ask := []exchange.Event{
		sends(exchange.KindHead, exchange.Event{Head: post("/a", "Content-Type: application/x-www-form-urlencoded")}),
		sends(exchange.KindData, exchange.Event{Data: []byte("a=1&b=x+y")}),
		sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
	}
	answer := func(h *exchange.Head, body string, more ...exchange.Event) []exchange.Event {
		es := append(slices.Clone(ask), says(exchange.KindHead, exchange.Event{Head: h}))
		if body != "" {
			es = append(es, says(exchange.KindData, exchange.Event{Data: []byte(body), Chunk: int64(len(body)), Raw: []byte("0F;x=\xff\r\n")}))
		}
		return append(append(es, more...), says(exchange.KindEnd, exchange.Event{End: &exchange.End{}}))
	}
	hints := &exchange.Head{Status: 103, Reason: "Early Hints", Version: "1.1", Fields: fields("Link: </a>")}
	return map[string][]exchange.Event{
		"json":    answer(ok("Content-Type: application/json"), `{"a": 1}`),
		"events":  answer(ok("Content-Type: text/event-stream", "Transfer-Encoding: chunked"), "data: 1\n\n", says(exchange.KindTrailers, exchange.Event{Fields: fields("X: \xff"), Raw: []byte("00\r\n\r\n")})),
		"parts":   answer(ok("Content-Type: multipart/mixed; boundary=b"), "--b\r\nA: b\r\n\r\n1\r\n--b--\r\n"),
		"file":    answer(ok("Content-Type: image/png"), strings.Repeat("\xff", base64Most+1)),
		"secret":  answer(ok("Set-Cookie: a=b1b2b3b4"), ""),
		"raw":     answer(&exchange.Head{Status: 200, Version: "1.0", Raw: []byte("HTTP/1.0 200\n\n")}, "\xff"),
		"hints":   append(slices.Clone(ask), append([]exchange.Event{says(exchange.KindHead, exchange.Event{Head: hints})}, answer(ok(), "x")[len(ask):]...)...),
		"cut":     append(answer(ok(), "x")[:len(ask)+2], says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Truncated}})),
		"reset":   append(answer(ok(), "x")[:len(ask)+2], says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Reset, Code: 8}})),
		"left":    append(answer(ok(), "x")[:len(ask)+2], says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Left}})),
		"refused": append(slices.Clone(ask), says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Refused, Err: "connection refused"}, Raw: []byte("\xff")})),
		"upgrade": answer(&exchange.Head{Status: 101, Version: "1.1"}, "", sends(exchange.KindData, exchange.Event{Data: []byte("hi")}), says(exchange.KindData, exchange.Event{Data: []byte("\xff")}), sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}})),
	}
}

// TestSchemaRefuses holds that the schema says something.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, change := range [][2]string{
		{`"version": "1.0"`, `"version": "2.0"`},
		{`"status": 200`, `"status": 20`},
		{`{"text": "q"}`, `{"text": "q", "base64": "cQ=="}`},
		{`{"text": "q"}`, `{}`},
		{`{"text": "q"}`, `{"file": "../q"}`},
		{`["Accept", "x"]`, `["Accept"]`},
		{`{"encoding": "gzip"}`, `{"encoding": "gzip", "base64": ""}`},
		{`"error": {"kind": "reset"}, `, ``},
		{`"direction": "sent"`, `"direction": "Sent"`},
		{`"port": 443`, `"port": "443"`},
	} {
		if !strings.Contains(full, change[0]) {
			t.Fatalf("%s is not there", change[0])
		}
		if err := fits(t, s, []byte(strings.ReplaceAll(full, change[0], change[1]))); err == nil {
			t.Errorf("%s in place of %s fits", change[1], change[0])
		}
	}
	if err := fits(t, s, []byte(full)); err != nil {
		t.Error(err)
	}
}

// TestSchemaKeys holds that the schema names the members that are read, at every
// place, and no others.
func TestSchemaKeys(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	i := interactionPlace()
	i["dns"], i["websocket"] = dnsPlace()["dns"], nil
	compareKeys(t, root, "interaction", schemaOf(root, map[string]any{"$ref": "#/$defs/interaction"}), i)
	compareKeys(t, root, "connection", schemaOf(root, map[string]any{"$ref": "#/$defs/connection"}), connectionPlace())
	compareKeys(t, root, "dns", schemaOf(root, root["properties"].(map[string]any)["dns"]), pinsPlace())
}

// schemaOf is v with its reference, its items or the object in its alternatives
// in its place.
func schemaOf(root map[string]any, v any) map[string]any {
	m := v.(map[string]any)
	if ref, ok := m["$ref"].(string); ok {
		return schemaOf(root, root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")])
	}
	if items, ok := m["items"].(map[string]any); ok {
		return schemaOf(root, items)
	}
	if _, ok := m["properties"]; !ok {
		for _, one := range m["oneOf"].([]any) {
			if alt := one.(map[string]any); alt["type"] == "object" {
				return alt
			}
		}
	}
	return m
}

// compareKeys compares what s has at the place called at with p.
func compareKeys(t *testing.T, root map[string]any, at string, s map[string]any, p place) {
	t.Helper()
	props := s["properties"].(map[string]any)
	got, want := slices.Sorted(maps.Keys(props)), slices.Sorted(maps.Keys(p))
	if strings.HasSuffix(at, "/body") {
		want = slices.DeleteFunc(want, func(k string) bool { return k == "binary" }) // of a payload
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: the schema has other members (-read +schema):\n%s", at, d)
	}
	for key, below := range p {
		if below != nil && props[key] != nil {
			compareKeys(t, root, at+"/"+key, schemaOf(root, props[key]), below)
		}
	}
}
