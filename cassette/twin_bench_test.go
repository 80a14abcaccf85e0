package cassette

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// usual is the nth of many interactions as an API has them: 1.3 KB each.
func usual(n int) *Interaction {
	i := &Interaction{
		ID:         fmt.Sprintf("get-%d-%04x.1", n, n&0xffff),
		Seq:        n + 1,
		Connection: Connection{Scheme: "https", Host: "api.example.com", Port: 443, Version: "1.1", ALPN: "http/1.1", SNI: "api.example.com", Names: []string{"api.example.com"}},
		Request: Request{Method: "GET", URL: fmt.Sprintf("https://api.example.com/v1/items/%d?expand=all", n), Version: "1.1",
			Fields: fields("Host: api.example.com", "User-Agent: curl/8.5.0", "Accept: */*", "Accept-Encoding: gzip")},
		Response: &Response{Status: 200, Reason: "OK", Fields: fields("Content-Type: application/json", "Date: Mon, 02 Nov 2026 10:00:00 GMT",
			"Server: nginx", "Content-Length: 612", "ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"", "Cache-Control: max-age=0, private, must-revalidate", "X-Request-Id: 6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001")},
		Timing: Timing{Start: time.Duration(n) * time.Millisecond, Wait: 31 * time.Millisecond},
	}
	b := fmt.Appendf(nil, `{"id":%d,"name":"item","tags":[`, n)
	for k := range 60 {
		b = fmt.Appendf(b, `"tag-%04d",`, (n+k)%10000)
	}
	i.Response.Body = bodyOf(append(bytes.TrimSuffix(b, []byte(",")), "]}"...))
	i.Response.End = exchange.Complete
	if err := i.rekey(rules{}); err != nil {
		panic(err)
	}
	return i
}

// BenchmarkAnswer is what it takes to find an answer and to tell it, from memory
// and from a twin.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{1000, 30000} {
		tw := twinOf(b, n)
		mounted := tw.cassette
		mounted.twin = tw
		held := &Cassette{Name: "usual"}
		for k := range n {
			held.Interactions = append(held.Interactions, usual(k))
		}
		for _, from := range []struct {
			name string
			c    *Cassette
		}{{"memory", held}, {"twin", mounted}} {
			b.Run(fmt.Sprintf("%s/%d", from.name, n), func(b *testing.B) {
				b.ReportAllocs()
				p, err := from.c.Player(PlayOptions{})
				if err != nil {
					b.Fatal(err)
				}
				y, err := p.Open(exchange.Origin{Addr: netip.MustParseAddrPort("192.0.2.1:443"), Name: "api.example.com", TLS: true})
				if err != nil {
					b.Fatal(err)
				}
				heads := make([]*exchange.Head, n)
				for k := range heads {
					i := usual(k)
					heads[k] = &exchange.Head{Method: "GET", Scheme: "https", Authority: "api.example.com", Target: strings.TrimPrefix(i.Request.URL, "https://api.example.com"), Version: "1.1", Fields: i.Request.Fields}
				}
				end := &exchange.End{}
				answer := func(exchange.Event) error { return nil }
				for k := 0; b.Loop(); k++ {
					stream := uint64(k + 1)
					if err := y.Event(exchange.Event{Stream: stream, Kind: exchange.KindHead, Head: heads[k*7919%n]}, answer); err != nil {
						b.Fatal(err)
					}
					if err := y.Event(exchange.Event{Stream: stream, Kind: exchange.KindEnd, End: end}, answer); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// twinOf is a twin of n usual interactions, in memory.
func twinOf(t testing.TB, n int) *twin {
	t.Helper()
	var out bytes.Buffer
	c := &Cassette{Name: "usual"}
	err := c.writeTwin(&out, false, func(f func(*Interaction) error) error {
		for k := range n {
			if err := f(usual(k)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tw, err := openTwin(bytes.NewReader(out.Bytes()), int64(out.Len()), noFiles, false)
	if err != nil {
		t.Fatal(err)
	}
	return tw
}

// BenchmarkTwin is what it takes to find an interaction, and to read it.
func BenchmarkTwin(b *testing.B) {
	const n = 10000
	tw := twinOf(b, n)
	keys := make([]key, n)
	for k := range keys {
		i := usual(k)
		keys[k] = entryOf(i, &i.key).key
	}
	b.Run("find", func(b *testing.B) {
		for k := 0; b.Loop(); k++ {
			c := cursor{section: tw.sections[0]}
			if _, err := c.search(keys[k%n]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		es, err := tw.entries()
		if err != nil {
			b.Fatal(err)
		}
		for k := 0; b.Loop(); k++ {
			if _, err := tw.interaction(es[k%n]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		w := newTwinWriter(new(bytes.Buffer))
		i := usual(1)
		for b.Loop() {
			if err := w.interaction(i); err != nil {
				b.Fatal(err)
			}
		}
	})
}
