package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect"
)

func TestHostPorts(t *testing.T) {
	for _, c := range []struct {
		in    []string
		want  []uint16
		fails bool
	}{
		{in: []string{"auto"}},
		{in: []string{"none"}, want: []uint16{}},
		{in: []string{"80", "8080"}, want: []uint16{80, 8080}},
		{in: []string{"auto", "80"}, fails: true},
		{in: []string{"0"}, fails: true},
	} {
		got, err := hostPorts(c.in)
		if diff := cmp.Diff(c.want, got); (err != nil) != c.fails || !c.fails && diff != "" {
			t.Errorf("hostPorts(%q): %v, (-want +got):\n%s", c.in, err, diff)
		}
	}
}

func TestPublished(t *testing.T) {
	for _, c := range []struct {
		in    []string
		want  []redirect.Publish
		fails bool
	}{
		{in: []string{"auto"}},
		{in: []string{"none"}, want: []redirect.Publish{}},
		{in: []string{"8080:80", "9000"}, want: []redirect.Publish{{Host: 8080, Inner: 80}, {Host: 9000, Inner: 9000}}},
		{in: []string{"none", "80"}, fails: true},
		{in: []string{"1:2:3"}, fails: true},
		{in: []string{":80"}, fails: true},
	} {
		got, err := published(c.in)
		if diff := cmp.Diff(c.want, got); (err != nil) != c.fails || !c.fails && diff != "" {
			t.Errorf("published(%q): %v, (-want +got):\n%s", c.in, err, diff)
		}
	}
}
