package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// TestConfigSet edits a file and leaves all else as it was.
func TestConfigSet(t *testing.T) {
	const full = "# ours\n[serge-net] # main\nmode = \"new\"   # for now\n\n[ignore]\nheaders = [\n  \"A\", # a\n]\n\n[[bypass]]\nhost = \"x\"\n"
	for _, c := range []struct{ name, text, key, value, want string }{
		{"in its place", full, "mode", "replay", strings.Replace(full, `"new"`, `"replay"`, 1)},
		{"behind the others", full, "repeat", "last", strings.Replace(full, "# for now\n", "# for now\nrepeat = \"last\"\n", 1)},
		{"a list", full, "ignore.headers", "X, Y", strings.Replace(full, "[\n  \"A\", # a\n]", `["X", "Y"]`, 1)},
		{"another of the table", full, "ignore.query_params", "t", strings.Replace(full, "# a\n]\n", "# a\n]\nquery_params = [\"t\"]\n", 1)},
		{"a table with nothing", "[serge-net]\n", "hermetic", "true", "[serge-net]\nhermetic = true\n"},
		{"no line end", "[serge-net]", "dns", "real", "[serge-net]\ndns = \"real\""},
		{"no such table", "[ignore]", "cassette", `a"b\c`, "[ignore]\n\n[serge-net]\ncassette = \"a\\\"b\\\\c\"\n"},
		{"the older table", "[matgto]\nmode = \"new\"\n", "cassette", "x", "[matgto]\nmode = \"new\"\ncassette = \"x\"\n"},
		{"a number", "", "proxy_port", "99", "[serge-net]\nproxy_port = 99\n"},
		{"dotted", "serge-net.mode = 'new' # here\n", "mode", "auto", "serge-net.mode = \"auto\" # here\n"},
	} {
		inShelf(t, map[string]string{"serge-net.toml": c.text})
		var out, errs bytes.Buffer
		if code := Main([]string{"config", "set", c.key, c.value}, &out, &errs); code != 0 {
			t.Errorf("%s: exit code %d: %s", c.name, code, &errs)
		}
		got, err := os.ReadFile("serge-net.toml")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, string(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// TestConfig shows values with where they are from, and refuses what is wrong
// before it writes.
func TestConfig(t *testing.T) {
	const text = "[serge-net]\nmode = \"new\"\nstrict = false\n[ignore]\nheaders = [\"A\"]\n"
	inShelf(t, map[string]string{"serge-net.toml": text})
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "serge-net.toml")
	t.Setenv("SERGE_DNS", "real")
	t.Setenv("MATGTO_CASSETTE", "older")
	var out bytes.Buffer
	if code := Main([]string{"config"}, &out, os.Stderr); code != 0 {
		t.Fatal(code)
	}
	for _, want := range []string{"mode new " + path + ":2", "on_miss passthrough " + path + ":3", "ignore.headers A " + path + ":5", "dns real SERGE_DNS", "cassette older MATGTO_CASSETTE", "repeat auto default"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " ")+" ", want+" ") {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	for _, c := range []typed{
		{"get", []string{"config", "get", "serge-net.mode"}, 0, "new\n", ""},
		{"path", []string{"config", "path"}, 0, path + "\n", ""},
		{"wrong value", []string{"config", "set", "mode", "recrod"}, exitStart, "", "serge-net: error: mode: \"recrod\" is not one of "},
		{"wrong bool", []string{"config", "set", "hermetic", "yes"}, exitStart, "", "serge-net: error: hermetic: \"yes\" is not one of true, false\n"},
		{"wrong key", []string{"config", "set", "modes", "new"}, exitStart, "", "serge-net: error: unknown key \"modes\"\nserge-net: hint: did you mean mode?\n"},
		{"strict", []string{"config", "get", "strict"}, exitStart, "", "serge-net: error: strict is on_miss in other words\nserge-net: hint: true is on_miss fail, false is on_miss passthrough\n"},
		{"tables", []string{"config", "set", "bypass", "x"}, exitStart, "", "serge-net: error: bypass is a list of tables\nserge-net: hint: add [[bypass]] to the file by hand\n"},
		{"no value", []string{"config", "set", "mode"}, exitStart, "", "serge-net: error: config set takes KEY VALUE\nserge-net: hint: serge-net config set KEY VALUE; serge-net config lists the keys\n"},
		{"no command", []string{"config", "gte"}, exitStart, "", "serge-net: error: unknown command \"config gte\"\nserge-net: hint: did you mean config get?\n"},
		{"completion", []string{"__completeNoDesc", "config", "set", "hermetic", ""}, 0, ":4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"},
	} {
		c.begins(t)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != text {
		t.Errorf("the file is now, %v:\n%s", err, now)
	}
	inShelf(t, nil)
	typed{"no file", []string{"config", "path"}, exitStart, "", "serge-net: error: no configuration file, here or above\nserge-net: hint: serge-net config set KEY VALUE makes one\n"}.check(t)
}

// begins is check, but stderr need only begin as c says.
func (c typed) begins(t *testing.T) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := Main(c.args, &stdout, &stderr); code != c.code || stdout.String() != c.stdout || !strings.HasPrefix(stderr.String(), c.stderr) {
		t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %+v", c.name, code, &stdout, &stderr, c)
	}
}

// FuzzSetKey: what was TOML is TOML with the key as it was set, and every other
// key stays.
func FuzzSetKey(f *testing.F) {
	for _, doc := range []string{"", "[t]\nk = 1 # c\n", "t.k = [1,\n2]", "[t.k]\nx = 1", "[t]\r\n", "t = {k = 1}", "[[t]]\nk = 1\n", "\"t\".\"k\" = 1\na = '''\n'''"} {
		f.Add(doc, "x\"\\\x01é")
	}
	f.Fuzz(func(t *testing.T, doc, value string) {
		var before, after map[string]any
		if toml.Unmarshal([]byte(doc), &before) != nil {
			return
		}
		text, err := setKey([]byte(doc), "t", "k", tomlString(value))
		if err != nil || toml.Unmarshal(text, &after) != nil {
			return // refused, or found out by who reads it again: t or k is something else
		}
		delete(before, "t")
		set, ok := after["t"].(map[string]any)
		if !ok {
			return // a list of tables, of which one has it
		}
		if set["k"] != strings.ToValidUTF8(value, "\uFFFD") {
			t.Errorf("setKey(%q, %q) = %q", doc, value, text)
		}
		delete(after, "t")
		if d := cmp.Diff(before, after); d != "" && !strings.Contains(d, "NaN") {
			t.Errorf("setKey(%q, %q) changed others (-before +after):\n%s", doc, value, d)
		}
	})
}
