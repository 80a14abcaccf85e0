package descriptor

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files gives the files of testdata.
func files(name string) ([]byte, error) { return os.ReadFile("testdata/" + name) }

// TestReads holds that a .proto file and the descriptor set that protoc made of
// it say the same.
func TestReads(t *testing.T) {
	var source, binary Set
	if err := source.AddSource("all.proto", files); err != nil {
		t.Fatal(err)
	}
	in, out := source.Method("all.v1.Everything", "Talk")
	if in == nil || out == nil || in.Name != "all.v1.Request" || out.Name != "all.common.Answer" {
		t.Fatalf("Talk takes %v and gives %v", in, out)
	}
	want := []Field{
		{1, "name", KindString, false, ""}, {2, "numbers", KindSint64, true, ""}, {3, "inner", KindMessage, false, "all.v1.Request.Inner"},
		{4, "color", KindEnum, false, "all.common.Color"}, {5, "labels", KindMessage, true, "all.v1.Request.entry 4"}, {6, "text", KindString, false, ""},
		{7, "raw", KindBytes, false, ""}, {15, "at", KindMessage, false, "google.protobuf.Timestamp"}, {8, "maybe", KindDouble, false, ""},
	}
	if d := cmp.Diff(want, in.Fields); d != "" {
		t.Errorf("the fields (-want +got):\n%s", d)
	}
	if got := source.Enum("all.common.Color").Values; got[2] != "BLUE" || got[-1] != "NONE" {
		t.Errorf("the colors are %v", got)
	}
	b, err := files("all.binpb")
	if err != nil {
		t.Fatal(err)
	}
	if err := binary.AddSet(b); err != nil {
		t.Fatal(err)
	}
	m, _ := binary.Method("all.v1.Everything", "Talk")
	for n := range want {
		if want[n].Name == "labels" {
			want[n].Type = "all.v1.Request.LabelsEntry"
		}
	}
	got := map[string]Field{}
	for _, f := range m.Fields {
		got[f.Name] = f
	}
	for _, f := range want {
		if got[f.Name] != f {
			t.Errorf("the set has %+v; want %+v", got[f.Name], f)
		}
	}
	if entry := binary.Message("all.v1.Request.LabelsEntry"); entry == nil || !entry.IsMap || entry.Field(2).Type != "all.v1.Request.Inner" {
		t.Errorf("an entry of the map is %+v", entry)
	}
}

func TestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"message A {\n string name 1;\n}":    "x:2: \"1\" stands where \"=\" has to be",
		"message A { string name = 1;":       "x:1: the file ends in the middle",
		"import \"gone.proto\";":             "import gone.proto: gone",
		"enum E { A = x; }":                  `x:1: "A" is no value of E`,
		"service S { rpc M A returns (B); }": `x:1: "A" stands where "(" has to be`,
	} {
		err := new(Set).AddSource("x", func(name string) ([]byte, error) {
			if name == "x" {
				return []byte(text), nil
			}
			return nil, errors.New("gone")
		})
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	if err := new(Set).AddSet([]byte("not a set")); !errors.Is(err, errWire) {
		t.Errorf("AddSet of text: %v", err)
	}
}

// FuzzAdd checks that no file, and no set, stops the program.
func FuzzAdd(f *testing.F) {
	for _, name := range []string{"all.proto", "common.proto", "all.binpb"} {
		if b, err := files(name); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte(strings.Repeat("message A {", 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = new(Set).AddSource("x", func(string) ([]byte, error) { return b, nil })
		_ = new(Set).AddSet(b)
	})
}

// TestSkips holds that options do not end what they are of.
func TestSkips(t *testing.T) {
	var s Set
	text := `message A { string a = 1 [(x) = { of: "}" y { z: 1 } }, deprecated = true]; option (o) = { p: [1, 2] }; string b = 2; }`
	if err := s.AddSource("x", func(string) ([]byte, error) { return []byte(text), nil }); err != nil {
		t.Fatal(err)
	}
	if m := s.Message("A"); m == nil || len(m.Fields) != 2 || m.Field(2).Name != "b" {
		t.Errorf("A is %+v", m)
	}
}
