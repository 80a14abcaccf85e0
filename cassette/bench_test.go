package cassette

import (
	"bytes"
	"fmt"
	"testing"
)

// large is the JSON form of a cassette of n interactions of about 1 KB.
func large(b *testing.B, n int) []byte {
	b.Helper()
	c := &Cassette{Name: "large"}
	for k := range n {
		i := &Interaction{Connection: Connection{Scheme: "http", Host: "api.example.com", Port: 80}}
		i.Request = Request{Method: "GET", URL: fmt.Sprintf("http://api.example.com/users/%d?page=2", k), Version: "1.1", Fields: fields("Host: api.example.com", "Accept: */*", "User-Agent: bench")}
		i.Response = &Response{Status: 200, Reason: "OK", Fields: fields("Content-Type: application/json", "Cache-Control: no-store", "Vary: Accept")}
		i.Response.Body = bodyOf(fmt.Appendf(nil, `{"id":%d,"name":"somebody","tags":["a","b","c"],"nested":{"ok":true,"text":"%0200d"}}`, k, k))
		if err := i.rekey(rules{}); err != nil {
			b.Fatal(err)
		}
		c.Interactions = append(c.Interactions, i)
	}
	number(c.Interactions, 0)
	var out bytes.Buffer
	if err := c.write(&out); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

func BenchmarkParse(b *testing.B) {
	text := large(b, 2000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := parse(text, noFiles); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	text := large(b, 2000)
	c, err := parse(text, noFiles)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var out bytes.Buffer
		if err := c.write(&out); err != nil || out.Len() != len(text) {
			b.Fatalf("%d bytes, %v; want %d", out.Len(), err, len(text))
		}
	}
}
