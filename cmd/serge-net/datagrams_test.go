package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect"
)

// TestDatagramsOf reads --udp.
func TestDatagramsOf(t *testing.T) {
	p := netip.MustParsePrefix
	same := cmp.Options{cmp.AllowUnexported(datagramRule{}, hostRule{}), cmp.Comparer(func(a, b redirect.Pass) bool { return a == b })}
	for _, c := range []struct {
		words string
		want  datagramRule
	}{
		{"auto", datagramRule{}},
		{"pass", datagramRule{pass: []redirect.Pass{{}}}},
		{"refuse", datagramRule{pass: []redirect.Pass{}}},
		{"123,192.0.2.1,192.0.2.1:514", datagramRule{pass: []redirect.Pass{{Port: 123}, {To: p("192.0.2.1/32")}, {To: p("192.0.2.1/32"), Port: 514}}}},
		{"10.1.2.3/8,10.0.0.0/8:514", datagramRule{pass: []redirect.Pass{{To: p("10.0.0.0/8")}, {To: p("10.0.0.0/8"), Port: 514}}}},
		{"2001:db8::1,[2001:db8::1]:514,[2001:db8::1],2001:db8::/32", datagramRule{pass: []redirect.Pass{
			{To: p("2001:db8::1/128")}, {To: p("2001:db8::1/128"), Port: 514}, {To: p("2001:db8::1/128")}, {To: p("2001:db8::/32")}}}},
		{"Time.example.com:123,*.example.com", datagramRule{pass: []redirect.Pass{}, hosts: []hostRule{{"time.example.com", 123}, {"*.example.com", 0}}}},
	} {
		got, err := datagramsOf(strings.Split(c.words, ","))
		if d := cmp.Diff(c.want, got, same); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", c.words, err, d)
		}
	}
	for words, want := range map[string]string{
		"pass,123": `--udp "pass": it stands alone`, "0": `--udp "0": no port`, "65536": "no port", "": "no port", "a b": "neither port, host",
		"time.example.com:": "no port", "time.example.com:ntp": "no port", "53": "that is DNS", "192.0.2.1:443": "that is QUIC", "[": "neither port, host",
	} {
		if _, err := datagramsOf(strings.Split(words, ",")); err == nil || !strings.Contains(err.Error(), want) || hintOf(err) == "" {
			t.Errorf("%q: %v; want %s, and a hint", words, err, want)
		}
	}
}

// TestDatagramRuleAllows tells by name what the lane could not.
func TestDatagramRuleAllows(t *testing.T) {
	rule, err := datagramsOf([]string{"*.example.com:8125", "time.example.com", "9"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rule.target()); n != 5 { // a port, and two hosts in both families
		t.Errorf("the lane has %d rules; want 5", n)
	}
	for _, c := range []struct {
		name string
		port uint16
		want bool
	}{
		{"stats.example.com", 8125, true}, {"Stats.Example.com", 8125, true}, {"stats.example.com", 8126, false}, {"stats.example.net", 8125, false},
		{"time.example.com", 123, true}, {"stats.example.net", 9, true}, {"", 5, true},
	} {
		if got := rule.allows(c.name, netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), c.port)); got != c.want {
			t.Errorf("%s:%d: %v; want %v", c.name, c.port, got, c.want)
		}
	}
}

// FuzzDatagramsOf never panics, and takes what it prints again.
func FuzzDatagramsOf(f *testing.F) {
	for _, s := range []string{"123", "10.0.0.0/8:514", "[2001:db8::1]:514", "*.example.com:8125", "fe80::1%eth0", "::ffff:192.0.2.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rule, err := datagramsOf([]string{s})
		if err != nil {
			return
		}
		for _, p := range rule.pass {
			if p.To.IsValid() && p.To != p.To.Masked() || p.Port == 443 || p.Port == 53 {
				t.Errorf("%q: %+v", s, p)
			}
		}
	})
}
