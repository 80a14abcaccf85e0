package cassette

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestValidate finds all that is wrong, and where.
func TestValidate(t *testing.T) {
	const get, answer = `"request": {"method": "GET", "url": "http://a.example/"}`, `"response": {"status": 200}`
	kept := `{"file": "a.bin", "sha256": "` + sumOf([]byte("bytes")) + `", "size": 5}`
	tests := []struct {
		name, text string
		n          int
		want       []Finding
	}{
		{"nothing", `{"version": "1.0", "interactions": []}`, 0, nil},
		{"good", `{"interactions": [{"id": "a", ` + get + `, "response": {"status": 200, "body": ` + kept + `}}]}`, 1, nil},
		{"cut", "{\n  \"interactions\": [", 0, []Finding{{"", "", "line 2, column 19: unexpected end of JSON input"}}},
		{"no cassette", "[]", 0, []Finding{{"", "", "a cassette is a JSON object"}}},
		{"version", `{"version": "x"}`, 0, []Finding{{"/version", "", `"x" is not a version`}}},
		{"all of it", `{"interactions": [
			{"id": "a", ` + get + `},
			{"id": "b", "request": 1, ` + answer + `},
			{"id": "c", ` + get + `, "response": {"status": 20}},
			{"id": "d", ` + get + `, "response": {"status": 200, "body": {"base64": "*"}}},
			{"id": "a", "connection": "c9", ` + get + `, ` + answer + `}]}`, 5, []Finding{
			{"/interactions/0", "a", "neither response nor error is there"},
			{"/interactions/1/request", "b", "is not an object"},
			{"/interactions/2/response/status", "c", "20 is not a status"},
			{"/interactions/3/response/body/base64", "d", "illegal base64 data at input byte 0"},
			{"/interactions/4/id", "a", "is that of /interactions/0 too"},
			{"/interactions/4/connection", "a", `/connections has no "c9"`},
		}},
		{"body files", `{"interactions": [
			{"id": "a", ` + get + `, "response": {"status": 200, "body": {"file": "gone.bin", "size": 5}}},
			{"id": "b", "request": {"method": "PUT", "url": "http://a.example/", "body": {"file": "a.bin", "size": 6}}, ` + answer + `},
			{"id": "c", ` + get + `, "response": {"status": 101}, "upgraded": {"messages": [
				{"payload": {"file": "a.bin", "sha256": "00", "size": 5}}]}}]}`, 3, []Finding{
			{"/interactions/0/response/body", "a", "body file gone.bin: no such file or directory"},
			{"/interactions/1/request/body", "b", "body file a.bin has 5 bytes, not 6"},
			{"/interactions/2/upgraded/messages/0/payload", "c", "body file a.bin has sha256 " + sumOf([]byte("bytes")) + ", not 00"},
		}},
	}
	for _, tt := range tests {
		s, dir := newStore(t)
		putFiles(t, dir, map[string]string{"it.json": tt.text, "it.bodies/a.bin": "bytes"})
		n, found, err := s.Validate("it")
		if err != nil || n != tt.n {
			t.Errorf("%s: Validate() = %d interactions, %v; want %d", tt.name, n, err, tt.n)
		}
		if d := cmp.Diff(tt.want, found); d != "" {
			t.Errorf("%s: (-want +got):\n%s", tt.name, d)
		}
	}
	s, _ := newStore(t)
	if _, _, err := s.Validate("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Validate() of none = %v; want ErrNotExist", err)
	}
	if _, _, err := s.Validate("../x"); !errors.Is(err, ErrName) {
		t.Errorf("Validate(../x) = %v; want ErrName", err)
	}
}
