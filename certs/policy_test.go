package certs

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithListed(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", `{"a":{"b":["x"]}}`},
		{`{"c":12345678901234567890}`, `{"a":{"b":["x"]},"c":12345678901234567890}`},
		{`{"a":{"b":["y"],"c":true}}`, `{"a":{"b":["y","x"],"c":true}}`},
		{`{"a":[]}`, ""},
		{`{"a":{"b":1}}`, ""},
		{`{`, ""},
		{`[]`, ""},
	} {
		got, err := withListed([]byte(tt.in), "x", "a", "b")
		if string(got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("withListed(%s) = %s, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestPolicies(t *testing.T) {
	_, text := root(t)
	fs := files{
		"/etc/ssl/certs/ca-certificates.crt":                 text,
		"/etc/chromium/master_preferences":                   "prefs",
		"/etc/opt/":                                          "",
		"/opt/google/chrome/":                                "",
		"/etc/brave/policies/managed/a.json":                 `{"CACertificates":["theirs"]}`,
		"/etc/brave/policies/managed/b.json":                 `{"x":1}`,
		"/usr/lib/firefox-esr/distribution":                  "-> ../../share/ff",
		"/usr/share/ff/searchplugins/x":                      "",
		"/usr/lib64/firefox/distribution/policies.json":      `{"policies":{"Certificates":{"Install":["/theirs"]},"x":1}}`,
		"/opt/firefox-nightly/distribution/policies.json":    `broken`,
		"/etc/chromium-browser/policies/managed/broken.json": `{"CACertificates":1}`,
	}
	p, ca := plan(t, true, fs)
	alone := at(t, p, "/etc/ssl/certs/serge-net/ca.pem")
	if string(alone.Data) != string(ca.PEM()) {
		t.Errorf("%s has %q", alone.Path, alone.Data)
	}
	der := base64.StdEncoding.EncodeToString(ca.Cert().Raw)
	chromium, err := json.Marshal(map[string]any{"CACertificates": []string{der}})
	if err != nil {
		t.Fatal(err)
	}
	firefox := `{"policies":{"Certificates":{"Install":["` + alone.Path + `"]}}}`
	for path, want := range map[string]string{
		"/etc/chromium/policies/managed/serge-net.json":   string(chromium),
		"/etc/chromium/master_preferences":                "prefs",
		"/etc/opt/chrome/policies/managed/serge-net.json": string(chromium),
		"/etc/brave/policies/managed/a.json":              `{"CACertificates":["theirs","` + der + `"]}`,
		"/etc/brave/policies/managed/b.json":              `{"x":1}`,
		"/usr/share/ff/policies.json":                     firefox,
		"/usr/share/ff/searchplugins/x":                   "",
		"/usr/lib64/firefox/distribution/policies.json":   `{"policies":{"Certificates":{"Install":["/theirs","` + alone.Path + `"]},"x":1}}`,
	} {
		if got := string(at(t, p, path).Data); got != want {
			t.Errorf("%s has %q; want %q", path, got, want)
		}
	}
	dirs, _ := covers(p)
	want := []string{"/etc/ssl/certs", "/etc/chromium", "/etc/chromium-browser/policies/managed", "/etc/opt", "/etc/brave/policies/managed", "/usr/lib64/firefox/distribution", "/usr/share/ff"}
	if d := cmp.Diff(want, dirs, sorted()); d != "" {
		t.Errorf("covered (-want +got):\n%s", d)
	}
	if len(p.Notes) != 2 {
		t.Errorf("notes = %q; want one for each broken file", p.Notes)
	}

	// One for the whole host counts alone.
	fs["/etc/firefox/policies/policies.json"] = `{}`
	p, _ = plan(t, true, fs)
	if got := string(at(t, p, "/etc/firefox/policies/policies.json").Data); got != firefox {
		t.Errorf("the host's policies = %q; want %q", got, firefox)
	}
}

// readFile is the content of the file at path.
func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// sorted has cmp.Diff compare lists of strings as sets.
func sorted() cmp.Option {
	return cmp.Transformer("sort", func(in []string) map[string]bool {
		set := make(map[string]bool)
		for _, s := range in {
			set[s] = true
		}
		return set
	})
}
