package cassette

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCast gives each of several clients that are there at once the WebSocket that
// it means, in whatever order they come and speak.
func TestCast(t *testing.T) {
	topic := func(n int) []phrase {
		name := string(rune('a' + n))
		return []phrase{"< welcome", phrase("> sub " + name), phrase("< news of " + name), "> more", phrase("< more of " + name)}
	}
	for _, c := range []struct {
		name     string
		sockets  [][]phrase
		opens    int
		speaks   []int    // the clients, in the order in which they speak first
		says     []string // by client
		want     []string // what each hears last
		leftOver int
	}{
		{"each another", [][]phrase{topic(0), topic(1), topic(2)}, 3, []int{2, 0, 1}, []string{"c", "a", "b"}, []string{"c", "a", "b"}, 0},
		{"as opened", [][]phrase{topic(0), topic(1)}, 2, []int{0, 1}, []string{"a", "b"}, []string{"a", "b"}, 0},
		{"fewer than recorded", [][]phrase{topic(0), topic(1), topic(2)}, 1, []int{0}, []string{"c"}, []string{"c"}, 2},
		{"two of the same", [][]phrase{topic(0), topic(1), topic(0)}, 3, []int{1, 2, 0}, []string{"b", "a", "a"}, []string{"b", "a", "a"}, 0},
		{"more than recorded", [][]phrase{topic(0), topic(1)}, 3, []int{0, 1, 2}, []string{"b", "a", "b"}, []string{"b", "a", "b"}, 0},
		{"the server tells them apart", [][]phrase{{"< one", "> x", "< 1"}, {"< two", "> y", "< 2"}}, 2, []int{1, 0}, nil, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newStore(t)
			recordSockets(t, s, "", c.sockets...)
			p := playerOf(t, load(t, s, "x"), PlayOptions{})
			clients := make([]*caller, c.opens)
			for n := range clients {
				clients[n] = call(t, p, "")
			}
			for _, n := range c.speaks {
				if c.says == nil {
					clients[n].say([]phrase{"> x", "> y"}[n])
				} else {
					clients[n].say(phrase("> sub " + c.says[n]))
				}
			}
			for n, k := range clients {
				want := []string{"101", []string{"one", "two"}[min(n, 1)], fmt.Sprint(n + 1)}
				if c.says != nil {
					k.say("> more")
					want = []string{"101", "welcome", "news of " + c.want[n], "more of " + c.want[n]}
				}
				if diff := cmp.Diff(want, k.heard); diff != "" {
					t.Errorf("client %d (-want +got):\n%s", n, diff)
				}
			}
			if got := p.Tally(); got.Left != c.leftOver || got.Served != c.opens || len(p.cast.open) > 0 {
				t.Errorf("%d served, %d left, %d undecided; want %d, %d, none", got.Served, got.Left, len(p.cast.open), c.opens, c.leftOver)
			}
		})
	}
}

// TestCastConcurrent is TestCast of eight clients at once, each on a connection of
// its own.
func TestCastConcurrent(t *testing.T) {
	s, _ := newStore(t)
	const clients = 8
	sockets := make([][]phrase, clients)
	for n := range sockets {
		sockets[n] = []phrase{"< welcome", phrase(fmt.Sprint("> sub ", n)), phrase(fmt.Sprint("< news of ", n))}
	}
	recordSockets(t, s, "", sockets...)
	p := playerOf(t, load(t, s, "x"), PlayOptions{})
	var all sync.WaitGroup
	for _, n := range rand.Perm(clients) {
		all.Go(func() {
			c := call(t, p, "")
			c.say(phrase(fmt.Sprint("> sub ", n)))
			if diff := cmp.Diff([]string{"101", "welcome", fmt.Sprint("news of ", n)}, c.heard); diff != "" {
				t.Errorf("client %d (-want +got):\n%s", n, diff)
			}
		})
	}
	all.Wait()
	if got := p.Tally(); got.Left > 0 || got.Served != clients {
		t.Errorf("%d served, %d left; want %d, none", got.Served, got.Left, clients)
	}
}
