package main

import (
	"os"
	"slices"
	"testing"
)

// TestNetnsClients holds the netns lane to what the others are: as an ordinary
// user without any capability, and as root.
func TestNetnsClients(t *testing.T) {
	r := newRig(t)
	few := []string{"curl-h2", "python-urllib", "node-fetch", "java"}
	for _, c := range clients(t) {
		if os.Getenv("SERGE_TEST_ALL") == "" && !slices.Contains(few, c.name) {
			continue
		}
		t.Run(c.name+"/user", func(t *testing.T) { c.holds(r.inAs(t, "netns", nobody)) })
		if os.Getenv("SERGE_TEST_ALL") != "" || c.name == few[0] {
			t.Run(c.name+"/root", func(t *testing.T) { c.holds(r.in(t, "netns")) })
		}
	}
}
