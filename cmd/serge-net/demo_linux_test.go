package main

import (
	"strings"
	"testing"
)

// TestDemo: what the README tells people to run first.
func TestDemo(t *testing.T) {
	r := newRig(t)
	o := r.run(built.serge, "demo")
	if o.code != 0 || !strings.Contains(o.stdout, "all 5 printed the same bytes, offline") {
		t.Errorf("exit code %d\nstdout: %s\nstderr: %s", o.code, o.stdout, o.stderr)
	}
}
