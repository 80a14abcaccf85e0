package cassette

import (
	"fmt"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// BenchmarkClaim finds an answer among 10,000 recordings: by an equal request, by
// one with another random value, and by one of which the value is known by then.
func BenchmarkClaim(b *testing.B) {
	request := func(n int, id string) *live {
		l := &live{req: Request{Method: "POST", URL: "http://api.example.com/orders", Fields: []exchange.Field{{Name: "Content-Type", Value: "application/json"}}}}
		l.req.Body = bodyOf(fmt.Appendf(nil, `{"id":"%s-0000-4000-8000-%012d","items":[{"sku":"a","n":1},{"sku":"b","n":2}],"n":%d}`, id, n, n))
		return l
	}
	c := &Cassette{Name: "x"}
	for n := range 10000 {
		i := &Interaction{ID: fmt.Sprint(n), Request: request(n, "0aaaaaaa").req, Response: &Response{Status: 200}}
		if err := i.rekey(rules{}); err != nil {
			b.Fatal(err)
		}
		c.Interactions = append(c.Interactions, i)
	}
	for _, id := range []string{"0aaaaaaa", "1bbbbbbb"} {
		b.Run(map[bool]string{true: "equal", false: "renamed"}[id[0] == '0'], func(b *testing.B) {
			p, err := c.Player(PlayOptions{Repeat: RepeatLast})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				l := request(n%10000, id)
				n++
				f, err := p.rules.formOf(&l.req)
				if err != nil {
					b.Fatal(err)
				}
				if k, err := p.claim(l, f); k == nil || err != nil {
					b.Fatalf("request %d: %v, %v", n, k, err)
				}
			}
		})
	}
}

// BenchmarkForm takes a request apart that has no body, as most have none.
func BenchmarkForm(b *testing.B) {
	r := &Request{Method: "GET", URL: "https://api.example.com/v1/users/7f1c/orders?page=2&limit=50", Fields: fields(
		"Host: api.example.com", "User-Agent: python-requests/2.32.3", "Accept-Encoding: gzip, deflate", "Accept: */*", "Connection: keep-alive", "Authorization: Bearer {{secret:auth#1}}")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := new(rules).formOf(r); err != nil {
			b.Fatal(err)
		}
	}
}
