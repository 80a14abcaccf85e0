package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// configured is run's flags after args, env and the file text called name in a
// directory above the working one, whose path is DIR.
func configured(t *testing.T, name, text string, env map[string]string, args ...string) (*runFlags, error) {
	t.Helper()
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if name != "" {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var f runFlags
	c := &cobra.Command{Use: "run"}
	(&cobra.Command{Use: "serge-net"}).AddCommand(c)
	f.registerMode(c)
	f.register(c)
	if err := c.ParseFlags(args); err != nil {
		return nil, flagError(c, err)
	}
	err := configure(c, func(k string) (string, bool) { v, ok := env[k]; return v, ok }, deep)
	f.dir = strings.ReplaceAll(f.dir, dir, "DIR")
	return &f, err
}

// TestConfigure sets each value from the strongest that says one.
func TestConfigure(t *testing.T) {
	const full = `
[serge-net]
cassette_dir = "tapes"
cassette = "api"
mode = "new"
strict = false
repeat = "never"
hermetic = true
order = "host"
unused = "fail"
latency = "200ms±50ms"
max_age = "30d"
expired = "refresh"
upstream_ca = ["a.pem", "/b.pem"]

[ignore]
headers = ["X-One", "X-Two"]
query_params = ["t"]

[[bypass]]
host = "*.internal.example.com"
[[bypass]]
host = "db.example.com"
`
	f, err := configured(t, "serge-net.toml", full, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{f.dir, f.cassette, f.mode, f.onMiss, f.repeat, f.order, f.unused, f.latency, f.maxAge, f.expiry, f.hermetic, filepath.Base(f.upstreamCA[0]), f.upstreamCA[1],
		f.ignoreHeader, f.ignoreQuery, f.bypass, f.dns}
	want := []any{"DIR/tapes", "api", "new", "passthrough", "never", "host", "fail", "200ms±50ms", "30d", "refresh", true, "a.pem", "/b.pem",
		[]string{"X-One", "X-Two"}, []string{"t"}, []string{"*.internal.example.com", "db.example.com"}, "pin"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the file (-want +got):\n%s", d)
	}
	for _, c := range []struct {
		name, file, text string
		env              map[string]string
		args             []string
		mode, onMiss     string
	}{
		{"default", "", "", nil, nil, "auto", "fail"},
		{"older file", "matgto.toml", "[matgto]\nmode = \"new\"\nstrict = true\n", nil, nil, "new", "fail"},
		{"on_miss before strict", "serge-net.toml", "[serge-net]\nstrict = false\non_miss = \"record\"\n", nil, nil, "auto", "record"},
		{"older environment", "serge-net.toml", "[serge-net]\nmode = \"new\"\n", map[string]string{"MATGTO_MODE": "record"}, nil, "record", "fail"},
		{"environment", "", "", map[string]string{"SERGE_MODE": "replay", "MATGTO_MODE": "record", "SERGE_ON_MISS": "record"}, nil, "replay", "record"},
		{"empty environment", "", "", map[string]string{"SERGE_MODE": ""}, nil, "auto", "fail"},
		{"flag", "serge-net.toml", "[serge-net]\nmode = \"new\"\n", map[string]string{"SERGE_MODE": "replay"}, []string{"--mode", "record"}, "record", "fail"},
	} {
		f, err := configured(t, c.file, c.text, c.env, c.args...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if f.mode != c.mode || f.onMiss != c.onMiss {
			t.Errorf("%s: mode %s, on-miss %s; want %s, %s", c.name, f.mode, f.onMiss, c.mode, c.onMiss)
		}
	}
}

// TestConfigureErrors names the place of what is wrong and the nearest that is right.
func TestConfigureErrors(t *testing.T) {
	for _, c := range []struct {
		name, text, want, hint string
		env                    map[string]string
		args                   []string
	}{
		{"unknown key", "[serge-net]\n\nmodes = \"new\"\n", `serge-net.toml:3: unknown key "serge-net.modes"`, `did you mean "mode"?`, nil, nil},
		{"unknown table", "[ignored]\nheaders = []\n", `serge-net.toml:1: unknown key "ignored"`, `did you mean "ignore"?`, nil, nil},
		{"far from all", "[serge-net]\nxyzzyxyzzy = 1\n", `serge-net.toml:2: unknown key "serge-net.xyzzyxyzzy"`, "the keys are serge-net, ignore", nil, nil},
		{"syntax", "[serge-net]\nmode = \n", "serge-net.toml:2:", "see https://toml.io", nil, nil},
		{"type", "[serge-net]\nmode = 3\n", "serge-net.toml:2:", "", nil, nil},
		{"value", "[serge-net]\nmode = \"recrod\"\n", `serge-net.toml: mode: "recrod" is not one of auto, `, "did you mean record?", nil, nil},
		{"environment", "", `SERGE_DNS: "pinn" is not one of pin, real`, "did you mean pin?", map[string]string{"SERGE_DNS": "pinn"}, nil},
		{"bool", "", `SERGE_QUIET: "yes" is not one of true, false`, "", map[string]string{"SERGE_QUIET": "yes"}, nil},
		{"flag", "", `--dns: "pinn" is not one of pin, real`, "did you mean pin?", nil, []string{"--dns", "pinn"}},
		{"no such flag", "", "unknown flag: --moode", "did you mean --mode?", nil, []string{"--moode", "x"}},
		{"shorthand", "", "unknown shorthand flag: 'S' in -S", "serge-net help run lists its flags", nil, []string{"-S"}},
		{"no value", "", "flag needs an argument: --mode", "serge-net help run lists its flags", nil, []string{"--mode"}},
	} {
		_, err := configured(t, "serge-net.toml", c.text, c.env, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %s", c.name, err, c.want)
		}
		if h := hintOf(err); !strings.HasPrefix(h, c.hint) {
			t.Errorf("%s: hint %q; want %q", c.name, h, c.hint)
		}
	}
}

// TestHelp has a help text for every command, in one voice, and completions for
// every shell.
func TestHelp(t *testing.T) {
	root := newRoot(io.Discard, io.Discard)
	for _, c := range root.Commands() {
		if c.Short == "" || strings.ToLower(c.Short[:1]) != c.Short[:1] || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %q; want lower case without a full stop", c.Name(), c.Short)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out strings.Builder
		if code := Main([]string{"completion", shell}, &out, io.Discard); code != 0 || !strings.Contains(out.String(), "serge-net") {
			t.Errorf("completion %s: exit code %d, %d bytes", shell, code, out.Len())
		}
	}
	var out strings.Builder
	if code := Main([]string{"__complete", "run", "--mode", ""}, &out, io.Discard); code != 0 || !strings.HasPrefix(out.String(), "auto\nrecord\nreplay\n") {
		t.Errorf("run --mode is completed to %q, exit code %d", out.String(), code)
	}
}

// TestRoot refuses what is no command.
func TestRoot(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"recrod", "x"}, "serge-net: error: unknown command \"recrod\"\nserge-net: hint: did you mean record?\n"},
		{[]string{"curl", "-x"}, "serge-net: error: unknown shorthand flag: 'x' in -x\nserge-net: hint: serge-net help lists the commands; to run one of the system's: serge-net run -- CMD ARGS…\n"},
		{[]string{"version", "2"}, "serge-net: error: version takes no \"2\"\nserge-net: hint: serge-net help version\n"},
		{[]string{"record"}, "serge-net: error: no cassette named\nserge-net: hint: serge-net record NAME -- CMD ARGS…\n"},
		{[]string{"record", "--", "true"}, "serge-net: error: no cassette named\n"},
		{[]string{"record", "a"}, "serge-net: error: no command to run\n"},
		{[]string{"record", "a", "curl", "x"}, "serge-net: error: no -- before the command\nserge-net: hint: serge-net record a -- curl x\n"},
		{[]string{"record", "a", "b", "--", "true"}, "serge-net: error: b stands between the cassette's name and --\nserge-net: hint: serge-net record a -- b true\n"},
		{[]string{"run"}, "serge-net: error: no command to run\n"},
		{[]string{"run", "a", "--", "true"}, "serge-net: error: a stands before --\nserge-net: hint: serge-net run [flags] -- a true\n"},
		{[]string{"show"}, "serge-net: error: no cassette named\n"},
	} {
		var errs strings.Builder
		if code := Main(c.args, io.Discard, &errs); code != exitStart || !strings.HasPrefix(errs.String(), c.want) {
			t.Errorf("serge-net %q: exit code %d, says\n%swant\n%s", c.args, code, errs.String(), c.want)
		}
	}
}
