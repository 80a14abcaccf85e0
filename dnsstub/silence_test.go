package dnsstub

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// unheard is an upstream whose resolvers do not answer.
type unheard struct{}

func (unheard) Exchange(context.Context, *dns.Msg) (*dns.Msg, error) {
	return nil, fmt.Errorf("ask 192.0.2.53: %w", context.DeadlineExceeded)
}

func TestSilence(t *testing.T) {
	r := record(nil)
	r.Upstream = unheard{}
	q := query(t, "a.example.com", dns.TypeA)
	if got := r.Answer(t.Context(), q, "udp"); got != nil {
		t.Errorf("recording, Answer() = %x; want none, as the resolvers give", got)
	}
	want := []Record{{Name: "a.example.com.", Type: "A", Rcode: "TIMEOUT"}}
	if diff := cmp.Diff(want, r.records); diff != "" {
		t.Fatalf("Recorded was told (-want +got):\n%s", diff)
	}
	s := &Stub{Kept: r.records}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if got := s.Answer(t.Context(), query(t, "a.example.com", qtype), "udp"); got != nil {
			t.Errorf("replaying %s, Answer() = %x; want none", dns.Type(qtype), got)
		}
	}
}

// TestEveryRcode has each code that an answer can have come back in the replay,
// for both families though only one was asked.
func TestEveryRcode(t *testing.T) {
	for rcode := dns.RcodeFormatError; rcode <= dns.RcodeNotZone; rcode++ {
		z := &zone{rcodes: map[string]int{"a.example.com.": rcode}}
		z.serve(t)
		r := record(z)
		want := []string{dns.RcodeToString[rcode]}
		if got := text(ask(t, r.Stub, "a.example.com", dns.TypeA)); !cmp.Equal(got, want) {
			t.Errorf("recording %s: A = %v", want, got)
		}
		s := &Stub{Kept: r.records}
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if got := text(ask(t, s, "a.example.com", qtype)); !cmp.Equal(got, want) {
				t.Errorf("replaying %s: %s = %v", want, dns.Type(qtype), got)
			}
		}
	}
}
