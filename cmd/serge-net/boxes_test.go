package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/cassette"
)

// TestConvertCommand converts and says so, and what is wrong with a key.
func TestConvertCommand(t *testing.T) {
	inShelf(t, map[string]string{"cassettes/c.json": plain, "key": strings.Repeat("0a", 32) + "\n", "other": strings.Repeat("0b", 32), "short": "abc"})
	const hintKey = "serge-net: hint: its key is that of --key-file, else SERGE_KEY, else SERGE_KEY_FILE or key_file in serge-net.toml; git diff --no-textconv does without\n"
	for _, c := range []typed{
		{name: "no format", args: []string{"convert", "c"}, code: 125,
			stderr: "serge-net: error: no format named\nserge-net: hint: serge-net convert c --to json.enc; serge-net help convert lists them\n"},
		{name: "no key", args: []string{"convert", "c", "--to", "json.enc"}, code: 125,
			stderr: "serge-net: error: convert cassettes/c.json to json.enc: to encrypt it takes a key, and none is given\n" + hintKey},
		{name: "compress", args: []string{"convert", "c", "--to", "json.zst"}, stdout: "cassettes/c.json -> cassettes/c.json.zst\n"},
		{name: "again", args: []string{"convert", "c", "--to", "json.zst"}, stdout: "cassettes/c.json.zst is json.zst already\n"},
		{name: "encrypt", args: []string{"convert", "c", "--to", "json.enc", "--key-file", "key"}, stdout: "cassettes/c.json.zst -> cassettes/c.json.enc\n"},
		{name: "without the key", args: []string{"show", "c"}, code: 125,
			stderr: "serge-net: error: load cassette cassettes/c.json.enc: it is encrypted, and no key is given\n" + hintKey},
		{name: "by another", args: []string{"validate", "c", "--key-file", "other"}, code: 125,
			stderr: "serge-net: error: validate cassette cassettes/c.json.enc: it is encrypted with another key than the one given\n" + hintKey},
		{name: "by a short one", args: []string{"validate", "--key-file", "short"}, code: 125,
			stderr: "serge-net: error: --key-file short: a passphrase of 3 bytes is guessed at once: at least 8\nserge-net: hint: make one: openssl rand -hex 32\n"},
		{name: "by none that is there", args: []string{"validate", "--key-file", "gone"}, code: 125,
			stderr: "serge-net: error: --key-file: stat gone: no such file or directory\nserge-net: hint: it names a file that holds the key; without it the key is SERGE_KEY\n"},
		{name: "by its key", args: []string{"validate", "c", "--key-file", "key"}, stdout: "1 cassette, 1 interaction, 0 findings\n"},
		{name: "out", args: []string{"convert", "c", "--to", "json", "-o", "d", "--key-file", "key"}, stdout: "cassettes/c.json.enc -> cassettes/d.json\n"},
		{name: "over", args: []string{"convert", "c", "--to", "json.gz", "-o", "d", "--key-file", "key"}, code: 125,
			stderr: "serge-net: error: convert c: cassettes/d.json: file already exists\nserge-net: hint: --output names a cassette that is not there yet\n"},
		{name: "of none", args: []string{"convert", "e", "--to", "json.gz"}, code: 125,
			stderr: "serge-net: error: no cassette cassettes/e.json\nserge-net: hint: did you mean c? serge-net list shows what there is\n"},
	} {
		c.check(t)
	}
	t.Setenv("SERGE_KEY_FILE", "other")
	t.Setenv(keyVariable, strings.Repeat("0a", 32))
	typed{name: "the variable goes before other files", args: []string{"validate", "c"}, stdout: "1 cassette, 1 interaction, 0 findings\n"}.check(t)
	b, err := os.ReadFile("cassettes/d.json")
	if err != nil {
		t.Fatal(err)
	}
	typed{name: "file", args: []string{"show", "--file", "cassettes/c.json.enc"}, stdout: string(b)}.check(t)
	if got := withoutKey([]string{"A=1", "SERGE_KEY=x", "SERGE_KEY_FILE=y"}); !slices.Equal(got, []string{"A=1", "SERGE_KEY_FILE=y"}) {
		t.Errorf("withoutKey = %q", got)
	}
}

// TestRepairCommand says what a journal would be made of, makes it, and says what
// was lost.
func TestRepairCommand(t *testing.T) {
	inShelf(t, map[string]string{"cassettes/bad.json": plain})
	store, err := cassette.Open("cassettes")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r, err := store.Record("c", cassette.RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Pin(cassette.Pin{Name: "a.example"}); err != nil {
		t.Fatal(err)
	}
	typed{name: "at work", args: []string{"repair"}, stdout: "c: is being recorded: left alone\n"}.check(t)
	journal, err := os.ReadFile("cassettes/.c.journal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("cassettes/c.json"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"c": string(journal) + "torn", "bad": "something else"} {
		if err := os.WriteFile("cassettes/."+name+".journal", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begun := regexp.MustCompile(`begun [-0-9: ]+Z by process [0-9]+`)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"repair", "c", "--dry-run"}, "c: would save 0 interactions; the recording is incomplete; the last 4 bytes of the journal cut or damaged; begun\n"},
		{[]string{"repair", "c"}, "c: saved 0 interactions to cassettes/c.json; the recording is incomplete; the last 4 bytes of the journal cut or damaged; begun\n"},
		{[]string{"repair", "c"}, "c: nothing to repair\n"},
		{[]string{"repair"}, "serge-net: error: recover the recording of bad that was cut off: not a journal of this version: it begins with \"somethin\"; if it is of no use, remove cassettes/.bad.journal\n"},
	} {
		var out strings.Builder
		Main(c.args, &out, &out)
		if d := cmp.Diff(c.want, begun.ReplaceAllString(out.String(), "begun")); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, d)
		}
	}
	if err := os.Remove("cassettes/.bad.journal"); err != nil {
		t.Fatal(err)
	}
	typed{name: "nothing", args: []string{"repair"}, stdout: "nothing to repair\n"}.check(t)
	typed{name: "JSON", args: []string{"repair", "c", "--json"}, stdout: `{
  "version": 1,
  "repaired": [
    {
      "name": "c",
      "exchanges": 0,
      "skipped": 0,
      "lost_bytes": 0,
      "incomplete": false
    }
  ]
}
`}.check(t)
}

// TestInit writes what is missing, and nothing over what is there.
func TestInit(t *testing.T) {
	inShelf(t, map[string]string{".gitignore": "bin/"})
	const once = "\nonce in each clone, for git diff to show cassettes of every format as JSON:\n\n  git config diff.serge-net.textconv 'serge-net show --file'\n"
	typed{name: "dry", args: []string{"init", "--dry-run"}, stdout: "would write serge-net.toml\nwould add 6 lines to .gitattributes\nwould add 5 lines to .gitignore\n" + once}.check(t)
	if files, _ := filepath.Glob("serge*"); len(files) > 0 {
		t.Errorf("--dry-run wrote %q", files)
	}
	typed{name: "first", args: []string{"init"}, stdout: "wrote serge-net.toml\nadded 6 lines to .gitattributes\nadded 5 lines to .gitignore\n" + once}.check(t)
	ignore, err := os.ReadFile(".gitignore")
	if err != nil || !strings.HasPrefix(string(ignore), "bin/\n# serge-net") {
		t.Errorf(".gitignore is %q, %v", ignore, err)
	}
	if err := os.WriteFile("serge-net.toml", []byte("# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	typed{name: "again", args: []string{"init"}, stdout: "serge-net.toml is there already, and stays; --force replaces it\n.gitattributes has it already\n.gitignore has it already\n" + once}.check(t)
	typed{name: "force", args: []string{"init", "--force", "--ci", "gitlab", "--cassette-dir", "t/tapes"},
		stdout: "replaced serge-net.toml\nadded 5 lines to .gitattributes\nadded 4 lines to .gitignore\n" + once + "\n.gitlab-ci.yml:\n\n" + gitlabSnippet}.check(t)
	text, err := os.ReadFile("serge-net.toml")
	if err != nil || !strings.Contains(string(text), `cassette_dir = "t/tapes"`) {
		t.Errorf("serge-net.toml is %q, %v", text, err)
	}
}

// TestConfigTemplate holds that init's configuration has every key that there
// is, and is one, with its comments and without.
func TestConfigTemplate(t *testing.T) {
	plain := regexp.MustCompile(`(?m)^# (\w+ = |\[)`).ReplaceAllString(configTemplate, "$1")
	for _, text := range []string{configTemplate, plain} {
		if _, err := readConfig("serge-net.toml", []byte(text)); err != nil {
			t.Error(err)
		}
	}
	for _, key := range configKeys() {
		if !strings.Contains(plain, key) {
			t.Errorf("no key %s", key)
		}
	}
}
