package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMan writes a page for every command, which holds all that help says and no
// request that text made.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	if code := Main([]string{"man", "--dir", dir}, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, c := range newRoot(io.Discard, io.Discard).Commands() {
		b, err := os.ReadFile(filepath.Join(dir, "serge-net-"+c.Name()+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		page := string(b)
		for _, want := range []string{".TH SERGE\\-NET\\-" + strings.ToUpper(c.Name()) + " 1", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH SEE ALSO\n\\fBserge\\-net\\fR(1)\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in\n%s", c.Name(), want, page)
			}
		}
		for line := range strings.Lines(page) {
			request, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case strings.HasPrefix(line, "'"):
				t.Errorf("%s: a request: %s", c.Name(), line)
			case !strings.HasPrefix(line, "."), request == ".TH", request == ".SH", request == ".TP", request == ".PP", request == ".nf", request == ".fi":
			default:
				t.Errorf("%s: a request: %s", c.Name(), line)
			}
		}
	}
	for _, c := range []typed{
		{"one", []string{"man", "clean"}, 0, "", ""},
		{"one of one", []string{"man", "config", "set"}, 0, "", ""},
	} {
		c.holds(t, ".TH SERGE\\-NET\\-"+strings.ToUpper(strings.Join(c.args[1:], "\\-")))
	}
	typed{"none", []string{"man", "recrod"}, exitStart, "", "serge-net: error: unknown command \"recrod\"\nserge-net: hint: did you mean record?\n"}.check(t)
	typed{"no directory", []string{"man", "--dir", "/nowhere"}, exitStart, "", "serge-net: error: write /nowhere/serge-net.1: "}.begins(t)
}
