package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestLookedAfter goes with recordings of a real client through what a person
// does with them, and replays what came of it.
func TestLookedAfter(t *testing.T) {
	r := newRig(t)
	page := "http://" + testnet.WWW + "/method?page="
	r.record("one", "curl", "-sS", page+"1", "http://"+testnet.WWW+"/bytes?n=100000", "-o", "/dev/null")
	r.record("two", "curl", "-sS", page+"1", page+"2")
	if o := r.well("validate"); o.stdout != "2 cassettes, 4 interactions, 0 findings\n" {
		t.Errorf("validate: %s", o.stdout)
	}
	if o := r.serge("diff", "one", "two"); o.code != exitDiffers || !strings.Contains(o.stdout, "- GET http://"+testnet.WWW+"/bytes?n=100000 -> 200\n") || !strings.Contains(o.stdout, "+ GET "+page+"2 -> 200\n") {
		t.Errorf("diff: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	r.well("merge", "one", "two", "-o", "suite/all")
	all := []string{"curl", "-sS", page + "1", page + "2", "http://" + testnet.WWW + "/bytes?n=100000"}
	want := r.run(all...).stdout
	o := r.well(append([]string{"replay", "suite/all", "--report", "json=all.json", "--"}, all...)...)
	if o.stdout != want || !strings.Contains(o.stderr, "3 served") {
		t.Errorf("what was merged replays %d bytes, want %d\n%s", len(o.stdout), len(want), o.stderr)
	}
	r.well("replay", "suite/all", "--report", "json=some.json", "--", "curl", "-sS", page+"1")
	if o := r.well("clean", "--unused", "some.json", "--unused", "all.json", "-y"); o.stdout != "nothing to clean\n" {
		t.Errorf("clean of what one of two used:\n%s", o.stdout)
	}
	if o := r.well("clean", "--unused", "some.json", "-y"); !strings.HasSuffix(o.stdout, "2 things, 0 B removed\n") {
		t.Errorf("clean: %s", o.stdout)
	}
	if files, _ := filepath.Glob(filepath.Join(r.dir, "cassettes/suite/*")); len(files) != 1 {
		t.Errorf("body files that nothing needs: %v", files)
	}
	if o := r.well("replay", "suite/all", "--", "curl", "-sS", page+"1"); !strings.Contains(o.stderr, "1 served (1 exact, 0 assumed), 0 missed, 0 unused") {
		t.Errorf("what was cleaned:\n%s", o.stderr)
	}
	body, err := os.ReadFile(filepath.Join(r.dir, "cassettes/two.json"))
	if err != nil {
		t.Fatal(err)
	}
	r.serge("record", "two", "--", "sh", "-c", "curl -sS "+page+"1 "+page+"3; exit 1")
	if o := r.well("review", "two", "--accept", "all"); !strings.Contains(o.stdout, "the recording of two that failed is removed") {
		t.Errorf("review: %s", o.stdout)
	}
	if now, err := os.ReadFile(filepath.Join(r.dir, "cassettes/two.json")); err != nil || string(now) == string(body) {
		t.Errorf("review --accept all changed nothing, %v", err)
	}
	if o := r.replay("two", "curl", "-sS", page+"1", page+"3"); !strings.Contains(o.stderr, "2 served (2 exact") {
		t.Errorf("what was reviewed:\n%s", o.stderr)
	}
}
