package main

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"record", "replay", "run", "cassette-dir", "cassette"}
	for word, want := range map[string]string{
		"recrod": "record", "relay": "replay", "rnu": "run", "casette": "cassette", "casette_dir": "cassette-dir",
		"record": "record", "RECORD": "", "something": "", "": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q; want %q", word, got, want)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "axc", 1}, {"abc", "ac", 1}, {"abc", "acb", 2}, {"kitten", "sitting", 3},
	} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("edits(%q, %q) = %d; want %d", c.a, c.b, got, c.want)
		}
		if got := edits(c.b, c.a); got != c.want {
			t.Errorf("edits(%q, %q) = %d; want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestShellWords(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want string
	}{
		{nil, ""},
		{[]string{"curl", "-sS", "http://a.example/b"}, "curl -sS http://a.example/b"},
		{[]string{"sh", "-c", "a; b"}, "sh -c 'a; b'"},
		{[]string{"echo", "", "it's", "$HOME", "a?b", "é"}, `echo '' 'it'\''s' '$HOME' 'a?b' 'é'`},
	} {
		if got := shellWords(c.argv); got != c.want {
			t.Errorf("shellWords(%q) = %s; want %s", c.argv, got, c.want)
		}
	}
}
