package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// onPTY runs argv on a terminal of its own and types each answer when a question
// came, which ends in ": " or "] ". It returns what stood on the terminal.
func onPTY(t *testing.T, answers []string, argv ...string) (string, int) {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ptmx.Close()
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	var screen strings.Builder
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 1<<10)
		for {
			n, err := ptmx.Read(b) // EIO when nobody has the terminal any more
			screen.Write(b[:n])
			if s := screen.String(); n > 0 && len(answers) > 0 && (strings.HasSuffix(s, "here: ") || strings.HasSuffix(s, "] ")) {
				io.WriteString(ptmx, answers[0]+"\n")
				answers = answers[1:]
			}
			if err != nil {
				return
			}
		}
	})
	cmd.Wait()
	reading.Wait()
	return strings.ReplaceAll(screen.String(), "\r\n", "\n"), cmd.ProcessState.ExitCode()
}

// TestReviewAsks decides on a terminal.
func TestReviewAsks(t *testing.T) {
	if err := build(); err != nil {
		t.Fatal(err)
	}
	inShelf(t, map[string]string{
		"cassettes/it.json":         users("ada=Ada", "bob=Bob", "cyn=Cyn", "dan=Dan"),
		"cassettes/.failed/it.json": users("ada=Eda", "bob=Rob", "dan=Dan", "eve=Eve"),
	})
	screen, code := onPTY(t, []string{"n", "?", "q"}, built.serge, "review", "it")
	if want := "~ GET http://a.example/bob\n    body /name: \"Bob\" -> \"Rob\"\n(2 of 4) take it?"; code != 0 || !strings.Contains(screen, want) || !strings.HasSuffix(screen, "0 of 4 changes taken into cassettes/it.json\n") {
		t.Errorf("exit code %d, want %q in\n%s", code, want, screen)
	}
	screen, code = onPTY(t, []string{"n", "y", "a"}, built.serge, "review", "it")
	if code != 0 || !strings.HasSuffix(screen, "3 of 4 changes taken into cassettes/it.json\nthe recording of it that failed is removed\n") {
		t.Errorf("exit code %d\n%s", code, screen)
	}
	typed{"what came of it", []string{"show", "it"}, 0, "", ""}.holds(t, "4 interactions", "/ada ", "/bob ", "/dan ", "/eve ")
	typed{"left", []string{"show", "it", "ada.1"}, 0, "", ""}.holds(t, `"name": "Ada"`)
	typed{"taken", []string{"show", "it", "bob.1"}, 0, "", ""}.holds(t, `"name": "Rob"`)
	screen, code = onPTY(t, []string{"n"}, built.serge, "clean", "--older", "0h")
	if code != exitStart || !strings.Contains(screen, "remove 1 thing, ") || !strings.HasSuffix(screen, "serge-net: error: nothing was removed\n") {
		t.Errorf("exit code %d\n%s", code, screen)
	}
	screen, code = onPTY(t, []string{"y"}, built.serge, "clean", "--older", "0h")
	if code != 0 || !strings.Contains(screen, "removed\n") {
		t.Errorf("exit code %d\n%s", code, screen)
	}
}

// TestReview decides by flags, and refuses what is wrong.
func TestReview(t *testing.T) {
	inShelf(t, map[string]string{
		"cassettes/it.json":         users("ada=Ada", "bob=Bob"),
		"cassettes/other.json":      users("ada=Eda", "cyn=Cyn"),
		"cassettes/.failed/it.json": users("ada=Ada", "bob=Bob"),
	})
	for _, c := range []typed{
		{"no terminal", []string{"review", "it", "other"}, exitStart, "", "serge-net: error: 3 changes to decide on, and there is no terminal to ask on\nserge-net: hint: --accept all, none or IDS; serge-net diff shows them\n"},
		{"no such", []string{"review", "it", "other", "--accept", "adda.1"}, exitStart, "", "serge-net: error: --accept: \"adda.1\" did not change\nserge-net: hint: did you mean ada.1?\n"},
		{"none", []string{"review", "it", "other", "--accept", "none"}, 0, "0 of 3 changes taken into cassettes/it.json\n", ""},
		{"some", []string{"review", "it", "other", "--accept", "ada.1,cyn.1"}, 0, "2 of 3 changes taken into cassettes/it.json\n", ""},
		{"all", []string{"review", "it", "other", "--accept", "all"}, 0, "1 of 1 change taken into cassettes/it.json\n", ""},
		{"nothing left", []string{"review", "it", "other"}, 0, "nothing changed\n", ""},
		{"nothing failed", []string{"review", "other"}, exitStart, "", "serge-net: error: no recording of other failed: there is no cassettes/.failed/other.json\nserge-net: hint: serge-net review NAME NEW compares it with another\n"},
		{"back", []string{"review", "it", "--accept", "all"}, 0, "3 of 3 changes taken into cassettes/it.json\nthe recording of it that failed is removed\n", ""},
		{"same as before", []string{"show", "it", "ada.1", "--body"}, 0, `{"name":"Ada"}`, ""},
	} {
		c.check(t)
	}
}

func TestMergeCommand(t *testing.T) {
	inShelf(t, map[string]string{"cassettes/a.json": users("ada=Ada", "bob=Bob"), "b.json": users("ada=Eda", "bob=Bob", "cyn=Cyn")})
	for _, c := range []typed{
		{"no name", []string{"merge", "a", "b.json"}, exitStart, "", "serge-net: error: no name for what comes of it\nserge-net: hint: serge-net merge A B -o NAME\n"},
		{"one", []string{"merge", "a", "-o", "c"}, exitStart, "", "serge-net: error: name two cassettes, or two files\nserge-net: hint: serge-net merge A B -o NAME; serge-net list shows what there is\n"},
		{"there already", []string{"merge", "a", "b.json", "-o", "a"}, exitStart, "", "serge-net: error: cassettes/a.json is there already\nserge-net: hint: --replace replaces it; -o NAME writes another\n"},
		{"wrong word", []string{"merge", "a", "b.json", "-o", "c", "--prefer", "newer"}, exitStart, "", "serge-net: error: --prefer: \"newer\" is not one of both, new, old\nserge-net: hint: did you mean new?\n"},
		{"both", []string{"merge", "a", "b.json", "-o", "c"}, 0, "4 interactions of 2 and 3 -> cassettes/c.json\n", ""},
		{"new", []string{"merge", "a", "b.json", "-o", "c", "--prefer", "new", "--replace"}, 0, "3 interactions of 2 and 3 -> cassettes/c.json\n", ""},
		{"is b", []string{"diff", "c", "b.json"}, 0, "", ""},
		{"old", []string{"merge", "a", "b.json", "-o", "a", "--prefer", "old", "--replace"}, 0, "3 interactions of 2 and 3 -> cassettes/a.json\n", ""},
		{"has its own", []string{"show", "a", "ada.1", "--body"}, 0, `{"name":"Ada"}`, ""},
		{"is good", []string{"validate", "-q"}, 0, "", ""},
	} {
		c.check(t)
	}
}
