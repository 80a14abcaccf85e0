package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect"
)

// TestLevels marks the highest level that a process has, and only that.
func TestLevels(t *testing.T) {
	for _, c := range []struct {
		m     redirect.Machine
		agent bool
		want  string
	}{
		{m: redirect.Machine{Root: true, BPF: true, Admin: true, Namespaces: true}, want: "root"},
		{m: redirect.Machine{Contained: true, Admin: true, Namespaces: true}, want: "root in a user namespace"},
		{m: redirect.Machine{BPF: true, Admin: true}, agent: true, want: "CAP_BPF and CAP_NET_ADMIN"},
		{m: redirect.Machine{Admin: true, Namespaces: true}, want: "CAP_NET_ADMIN"},
		{m: redirect.Machine{Namespaces: true}, agent: true, want: "an ordinary user, the agent runs"},
		{m: redirect.Machine{Namespaces: true}, want: "an ordinary user, user namespaces"},
		{want: "an ordinary user, neither"},
	} {
		for _, l := range levels(c.m, c.agent) {
			if l.Current != (l.Level == c.want) {
				t.Errorf("%+v, agent %v: %q is current: %v; want %q", c.m, c.agent, l.Level, l.Current, c.want)
			}
		}
	}
}

// TestDiagnosisJSON holds the form that docs/troubleshooting.md documents.
func TestDiagnosisJSON(t *testing.T) {
	d := diagnosis{
		Version: 1, Kernel: "6.1.0", UID: 1000, Works: true,
		Lanes: []laneFinding{{Lane: "netns", Works: true, MS: 12, By: "netns", Trust: "mount"}, {Lane: "ebpf", Why: "missing CAP_BPF", Hint: "start with sudo"}},
		Needs: []needFinding{{Name: "capabilities", Found: "missing CAP_BPF", Hint: "start with sudo", Lanes: []string{"ebpf"}}},
		Agent: agentFinding{Socket: "/run/serge-net/agent.sock"},
		Levels: []level{{Level: "an ordinary user, user namespaces", Lanes: []string{"netns"},
			Trust: "mount", Resolvers: "masked", Sudo: "no", Current: true}},
	}
	got, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "version": 1,
  "kernel": "6.1.0",
  "uid": 1000,
  "works": true,
  "lanes": [
    {
      "lane": "netns",
      "works": true,
      "ms": 12,
      "by": "netns",
      "trust": "mount"
    },
    {
      "lane": "ebpf",
      "works": false,
      "ms": 0,
      "why": "missing CAP_BPF",
      "hint": "start with sudo"
    }
  ],
  "needs": [
    {
      "name": "capabilities",
      "ok": false,
      "found": "missing CAP_BPF",
      "hint": "start with sudo",
      "lanes": [
        "ebpf"
      ]
    }
  ],
  "agent": {
    "socket": "/run/serge-net/agent.sock",
    "present": false
  },
  "levels": [
    {
      "level": "an ordinary user, user namespaces",
      "lanes": [
        "netns"
      ],
      "trust": "mount",
      "resolvers": "masked",
      "sudo": "no",
      "current": true
    }
  ]
}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
