package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTwinCut holds that a twin that was cut anywhere gives all that is whole,
// and is whole again after the next recording.
func TestTwinCut(t *testing.T) {
	s, dir := newStore(t)
	var sizes []int // after each commit
	for n := range 3 {
		recordAll(t, s, "x", RecordOptions{Append: true, Format: MessagePack},
			asked{req: get(fmt.Sprintf("/%d", n)), res: ok(), answer: strings.Repeat("x", n*inlineMost)},
			asked{req: get(fmt.Sprintf("/%d/b", n)), res: ok(), answer: "b", at: time.Minute})
		sizes = append(sizes, len(read(t, dir, "x.smpk")))
	}
	whole := read(t, dir, "x.smpk")
	step := 1 // where records begin and end every byte counts; inside of bodies not
	for cut := twinHead; cut <= len(whole); cut += step {
		step = 1 + cut%37
		committed := 0
		for _, size := range sizes {
			if size <= cut {
				committed += 2
			}
		}
		tw, err := openTwin(strings.NewReader(whole[:cut]), int64(cut), noFiles, false)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		n := 0
		if err := tw.each(func(i *Interaction) error { n++; return nil }); err != nil || n != tw.count || n < committed || n > committed+2 {
			t.Fatalf("cut at %d: %d interactions, %d counted, %d committed: %v", cut, n, tw.count, committed, err)
		}
		if cut%401 != 0 && cut > twinHead+2 && cut < len(whole)-40 {
			continue
		}
		held, err := openTwin(strings.NewReader(whole[:cut]), int64(cut), noFiles, true)
		if err != nil || held.count != committed && held.count != n {
			t.Fatalf("cut at %d: %d count while a journal is there; %d are committed: %v", cut, held.count, committed, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "y.smpk"), []byte(whole[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if sum := recordAll(t, s, "y", RecordOptions{Append: true}, asked{req: get("/more"), res: ok()}); sum.Interactions != n+1 {
			t.Fatalf("cut at %d: %+v after appending to %d", cut, sum, n)
		}
		if wrong := invalid(s, "y"); wrong != "" {
			t.Fatalf("cut at %d: %s", cut, wrong)
		}
	}
}

// TestTwinDamaged holds that no damaged byte goes unnoticed by Validate.
func TestTwinDamaged(t *testing.T) {
	s, dir := newStore(t)
	for n := range 2 {
		recordAll(t, s, "x", RecordOptions{Append: true, Format: MessagePack}, asked{req: get(fmt.Sprintf("/%d", n)), res: ok(), answer: "answer"})
	}
	whole := []byte(read(t, dir, "x.smpk"))
	for at := 0; at < len(whole); at += 3 {
		if at >= len(twinMagic) && at < twinHead {
			continue // version and flags
		}
		bad := bytes.Clone(whole)
		bad[at] ^= 0x10
		if err := os.WriteFile(filepath.Join(dir, "x.smpk"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if invalid(s, "x") == "" {
			t.Errorf("byte %d of %d is damaged, and nobody says so", at, len(whole))
		}
	}
}

// TestTwice holds that a cassette that is there in both forms is refused.
func TestTwice(t *testing.T) {
	s, dir := newStore(t)
	putFiles(t, dir, map[string]string{"x.json": "{}", "x.smpk": "SERGEMPK"})
	_, load := s.Load("x")
	_, mount := s.Mount("x")
	_, record := s.Record("x", RecordOptions{})
	_, convert := s.Convert("x", "x", JSON, nil)
	_, _, validate := s.Validate("x")
	_, glance := s.Glance("x")
	for what, err := range map[string]error{"Load": load, "Mount": mount, "Record": record, "Convert": convert, "Validate": validate, "Glance": glance} {
		if !errors.Is(err, ErrForms) || !strings.Contains(err.Error(), "x.smpk") {
			t.Errorf("%s() = %v; want ErrForms", what, err)
		}
	}
}
