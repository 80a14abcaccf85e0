//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"io"
)

// An event is one line of what the guest reports. Exactly one field is set.
type event struct {
	Booted *booted     `json:"booted,omitempty"`
	Cell   *cell       `json:"cell,omitempty"`
	Tests  *testResult `json:"tests,omitempty"`
	Failed string      `json:"failed,omitempty"` // the guest itself could not go on
	Done   bool        `json:"done,omitempty"`
}

// booted is said first.
type booted struct {
	Release string   `json:"release"` // uname -r
	Lanes   []string `json:"lanes"`   // that this build knows
}

// A cell is one lane as one user.
type cell struct {
	Lane  string `json:"lane"`
	As    string `json:"as"`
	Works bool   `json:"works"`
	Why   string `json:"why,omitempty"` // why not
}

// A testResult is how the tests of one package ended.
type testResult struct {
	Package string   `json:"package"`
	Passed  int      `json:"passed"`
	Skipped int      `json:"skipped"`
	Failed  []string `json:"failed,omitempty"`
	Why     string   `json:"why,omitempty"` // it ended without a verdict
}

// notBuilt is why a lane cannot be tried that this build has not.
const notBuilt = "not in this build"

// The users that lanes are tried as.
const (
	asRoot  = "root"
	asCaps  = "user with CAP_BPF, CAP_NET_ADMIN and a cgroup"
	asPlain = "user"
)

// users is their order.
func users() []string { return []string{asRoot, asCaps, asPlain} }

// readEvents reads the guest's lines. One that is cut off, by a kernel that
// panics, ends them.
func readEvents(r io.Reader) []event {
	var events []event
	for s := bufio.NewScanner(r); s.Scan(); {
		var e event
		if json.Unmarshal(s.Bytes(), &e) != nil {
			break
		}
		events = append(events, e)
	}
	return events
}
