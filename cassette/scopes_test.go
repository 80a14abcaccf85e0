package cassette

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// byHeader tells whose a request is by its field Serge-Scope; "?" is unknown.
func byHeader(_ exchange.Origin, h *exchange.Head) (string, bool) {
	v, _ := exchange.Get(h.Fields, "serge-scope")
	return v, v != "?"
}

// heardBy is what p answers to "SCOPE PATH", "-" for a miss.
func heardBy(t *testing.T, p exchange.Player, ask string) string {
	t.Helper()
	name, path, _ := strings.Cut(ask, " ")
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	var out strings.Builder
	answer := func(e exchange.Event) error { out.Write(e.Data); return nil }
	for _, e := range []exchange.Event{{Kind: exchange.KindHead, Head: get(path, "Serge-Scope: "+name)}, {Kind: exchange.KindEnd, End: &exchange.End{}}} {
		e.Stream = 1
		var m *exchange.Miss
		if err := y.Event(e, answer); errors.As(err, &m) {
			return "-"
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// scoped is a Scopes with the scopes a and b, and a shared cassette.
func scoped(t *testing.T, repeat Repeat) *Scopes {
	t.Helper()
	of := func(name string, paths ...string) *Player {
		var as []asked
		for n, path := range paths {
			as = append(as, asked{req: get(path), res: ok(), answer: fmt.Sprint(name, n)})
		}
		return played(t, PlayOptions{Repeat: repeat}, as...)
	}
	s := &Scopes{Shared: of("shared", "/x", "/common"), Of: byHeader}
	for name, paths := range map[string][]string{"a": {"/x", "/x", "/only-a"}, "b": {"/x"}} {
		if err := s.Begin(name, of(name, paths...)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestScopes answers each exchange from its own scope, then from what all share,
// and never from another's.
func TestScopes(t *testing.T) {
	s := scoped(t, RepeatNever)
	for _, c := range []struct{ ask, want string }{
		{"a /x", "a0"}, {"b /x", "b0"}, {"a /x", "a1"},
		{"b /x", "shared0"}, // its own is used up
		{"a /x", "-"},       // and so is what all share
		{"b /only-a", "-"}, {"a /only-a", "a2"},
		{"a /common", "shared1"},
		{" /common", "-"}, {"closed /x", "-"},
		{"? /x", "-"}, // whose it is cannot be told
	} {
		if got := heardBy(t, s, c.ask); got != c.want {
			t.Errorf("%q got %q; want %q", c.ask, got, c.want)
		}
	}
	p, err := s.End("a")
	if err != nil {
		t.Fatal(err)
	}
	if tally := p.Tally(); tally.Served != 3 || len(tally.Unused) != 0 {
		t.Errorf("scope a: %+v; want 3 served, none unused", tally)
	}
	if got := heardBy(t, s, "a /only-a"); got != "-" {
		t.Errorf("a scope that has ended answers %q", got)
	}
}

// TestScopesUnknown takes an exchange whose scope cannot be told for that of the
// only one there is.
func TestScopesUnknown(t *testing.T) {
	s := scoped(t, RepeatAuto)
	if _, err := s.End("b"); err != nil {
		t.Fatal(err)
	}
	if got := heardBy(t, s, "? /x"); got != "a0" {
		t.Errorf("with one scope open: %q; want a0", got)
	}
	if _, err := s.End("a"); err != nil {
		t.Fatal(err)
	}
	if got := heardBy(t, s, "? /x"); got != "shared0" {
		t.Errorf("with none open: %q; want shared0", got)
	}
	alone := &Scopes{Of: byHeader}
	if got := heardBy(t, alone, " /x"); got != "-" {
		t.Errorf("with nothing to answer from: %q", got)
	}
}

// TestScopesBegin refuses what cannot be begun or ended.
func TestScopesBegin(t *testing.T) {
	s := scoped(t, RepeatAuto)
	_, ended := s.End("c")
	for name, err := range map[string]error{"without a name": s.Begin("", s.Shared), "twice": s.Begin("a", s.Shared), "end of none": ended} {
		if !errors.Is(err, ErrScope) {
			t.Errorf("%s: %v; want ErrScope", name, err)
		}
	}
}

// TestScopesParallel keeps scopes apart whose exchanges come at the same time on
// one connection.
func TestScopesParallel(t *testing.T) {
	s := &Scopes{Of: byHeader}
	const scopes, each = 8, 20
	for n := range scopes {
		var as []asked
		for k := range each {
			as = append(as, asked{req: get("/same"), res: ok(), answer: fmt.Sprintf("%d.%d", n, k)})
		}
		if err := s.Begin(fmt.Sprint(n), played(t, PlayOptions{Repeat: RepeatNever}, as...)); err != nil {
			t.Fatal(err)
		}
	}
	y, err := s.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	var got [scopes][each]string
	var wg sync.WaitGroup
	for n := range scopes {
		wg.Go(func() {
			for k := range each {
				stream := uint64(n*each + k + 1)
				answer := func(e exchange.Event) error { got[n][k] += string(e.Data); return nil }
				y.Event(exchange.Event{Stream: stream, Kind: exchange.KindHead, Head: get("/same", "Serge-Scope: "+fmt.Sprint(n))}, answer)
				if err := y.Event(exchange.Event{Stream: stream, Kind: exchange.KindEnd, End: &exchange.End{}}, answer); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for n := range scopes {
		for k := range each {
			if want := fmt.Sprintf("%d.%d", n, k); got[n][k] != want {
				t.Errorf("scope %d, request %d got %q", n, k, got[n][k])
			}
		}
	}
}

// TestScopesOffer shows what any of the cassettes was recorded with.
func TestScopesOffer(t *testing.T) {
	with := func(alpn string, names ...string) *Player {
		c := &Cassette{Interactions: []*Interaction{{
			Connection: Connection{Scheme: "https", Host: "api.example.com", Port: 443, ALPN: alpn, Names: names},
			Request:    Request{Method: "GET", URL: "https://api.example.com/"}, Response: &Response{Status: 200},
		}}}
		return playerOf(t, c, PlayOptions{})
	}
	s := &Scopes{Shared: with("h2", "api.example.com", "b.example.com"), Of: byHeader}
	if err := s.Begin("a", with("http/1.1", "a.example.com", "api.example.com")); err != nil {
		t.Fatal(err)
	}
	want := exchange.Offer{Recorded: true, ALPN: []string{"h2", "http/1.1"}, Names: []string{"a.example.com", "api.example.com", "b.example.com"}}
	if d := cmp.Diff(want, s.Offer(exchange.Origin{SNI: "api.example.com", TLS: true})); d != "" {
		t.Errorf("Offer() (-want +got):\n%s", d)
	}
}
