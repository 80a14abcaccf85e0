package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGRPCNames records calls by the names of their fields, which a .proto file tells
// or, where the program asks it, the server's reflection. Names are in the cassette
// and in a miss, and rules reach fields by them.
func TestGRPCNames(t *testing.T) {
	r := newRig(t)
	p := r.grpc()
	file, err := filepath.Abs("testdata/grpc/testing.proto")
	if err != nil {
		t.Fatal(err)
	}
	sources := []struct {
		name         string
		flags, extra []string
	}{
		{"file", []string{"--proto", file}, nil},
		{"reflection", nil, []string{"reflection"}},
	}
	ask := func(size string, extra []string) []string {
		return append([]string{"--", p.program, "ask", size, p.plain}, extra...)
	}
	said := map[string]string{}
	for _, s := range sources {
		said[s.name] = r.well(append(append(append([]string{"record"}, s.flags...), s.name), ask("5", s.extra)...)...).stdout
		if want := "answered 5\n"; !strings.HasSuffix(said[s.name], want) {
			t.Errorf("%s: it prints no %q: %s", s.name, want, said[s.name])
		}
		want := []any{
			map[string]any{"response_size": 5.0, "payload": map[string]any{"body": map[string]any{"base64": "AAAAAAA="}}},
			nil, // its end
			map[string]any{"payload": map[string]any{"body": map[string]any{"base64": "AAAAAAA="}}},
		}
		if d := cmp.Diff(want, r.calledFields(s.name)); d != "" {
			t.Errorf("%s: fields of the call (-want +got):\n%s", s.name, d)
		}
	}
	p.stop()
	for _, s := range sources {
		replay := func(size string, flags ...string) outcome {
			return r.serge(append(append(append([]string{"replay"}, flags...), s.name), ask(size, s.extra)...)...)
		}
		for _, c := range []struct {
			size  string
			flags []string
		}{
			{"5", nil}, // names are not needed
			{"5", s.flags},
			{"6", append([]string{"--ignore-body", "$.response_size", "--ignore-body", "$.payload.body"}, s.flags...)},
		} {
			if o := replay(c.size, c.flags...); o.code != 0 || o.stdout != said[s.name] {
				t.Errorf("%s: %s replayed with %q: exit code %d, %s%s", s.name, c.size, c.flags, o.code, o.stdout, o.stderr)
			}
		}
		if o := replay("6", s.flags...); o.code == 0 || !strings.Contains(o.stderr, "body field 0.response_size: 5 -> 6") {
			t.Errorf("%s: a miss: exit code %d, %s%s", s.name, o.code, o.stdout, o.stderr)
		}
	}
}

// calledFields are those of the messages of the call of UnaryCall in the cassette
// name.
func (r *rig) calledFields(name string) []any {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "cassettes", name+".json"))
	if err != nil {
		r.t.Fatal(err)
	}
	var c struct {
		Interactions []struct {
			GRPC struct {
				Method   string
				Messages []struct{ Fields any }
			}
		}
	}
	if err := json.Unmarshal(b, &c); err != nil {
		r.t.Fatal(err)
	}
	var all []any
	for _, i := range c.Interactions {
		for _, m := range i.GRPC.Messages {
			if i.GRPC.Method == "UnaryCall" {
				all = append(all, m.Fields)
			}
		}
	}
	return all
}
