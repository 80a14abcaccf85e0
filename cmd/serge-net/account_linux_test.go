package main

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// reportSchema is the one that is published.
func reportSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../docs/report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// accountAt reads the report at path and holds it to the schema.
func accountAt(t *testing.T, path string) account {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return accountOf(t, string(b))
}

// accountOf is accountAt of a text.
func accountOf(t *testing.T, text string) account {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if err := reportSchema(t).Validate(v); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	var a account
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestReportJSON holds what --report json says of each kind of run.
func TestReportJSON(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.dir, "report.json")
	page := "http://" + testnet.WWW + "/method?page="
	curl := []string{"curl", "-sS", "-o", "/dev/null", "-H", "Authorization: Bearer s3cr3t"}
	yes, no := true, false
	one := account{Version: 1, Program: "serge-net " + versionName(), Command: "curl", Lane: "ebpf", Escapes: []escape{}, Problems: []problem{},
		Cassette: accountCassette{"login", "cassettes/login.json", 1}}
	with := func(change func(*account)) account { a := one; change(&a); return a }
	for _, c := range []struct {
		name string
		args []string
		code int
		want account
	}{
		{"record", append([]string{"record", "login", "--report", "json=" + file, "--"}, append(curl, page+"2")...), 0, with(func(a *account) {
			a.Mode, a.Cassette.Interactions = "record", 0
			a.Record = &accountRecord{Interactions: 1, Total: 1, Secrets: map[string]int{"auth": 1}, Path: "cassettes/login.json", Changed: true}
		})},
		{"replay", append([]string{"replay", "login", "--report", "json=" + file, "--"}, append(curl, page+"2")...), 0, with(func(a *account) {
			a.Mode, a.Isolated = "replay", &yes
			a.Replay = &accountReplay{Served: 1, Assumed: 1, Assumptions: []assumed{{"GET", page + "2", "took the request's own secret for secret:auth#1"}},
				Ambiguous: []assumed{}, Unsaid: []assumed{}, Misses: []missed{}, Unused: []recorded{}}
		})},
		{"miss", append([]string{"replay", "login", "--report", "json=" + file, "--"}, append(curl, page+"3", page+"3")...), 97, with(func(a *account) {
			a.Mode, a.Isolated, a.ExitCode = "replay", &no, 97
			a.Replay = &accountReplay{Missed: 2, Assumptions: []assumed{}, Ambiguous: []assumed{}, Unsaid: []assumed{},
				Misses: []missed{{Method: "GET", URL: page + "3", Times: 2, Accept: "--ignore-query page",
					Nearest: &near{"GET", page + "2", 0, 1, []difference{{At: "query page", Recorded: "2", Live: "3"}}}}},
				Unused: []recorded{{"", "GET", page + "2"}}}
		})},
		{"the command fails", []string{"replay", "login", "--report", "json=" + file, "--", "sh", "-c", "exit 7"}, 7, with(func(a *account) {
			a.Mode, a.Isolated, a.ExitCode, a.Command = "replay", &yes, 7, "sh"
			a.Replay = &accountReplay{Assumptions: []assumed{}, Ambiguous: []assumed{}, Unsaid: []assumed{}, Misses: []missed{}, Unused: []recorded{{"", "GET", page + "2"}}}
		})},
		{"no start", []string{"replay", "login", "--bypass", "10.0.0.0/99", "--report", "json=" + file, "--", "true"}, 125, with(func(a *account) {
			a.Mode, a.ExitCode, a.Command, a.Lane, a.Cassette = "replay", 125, "true", "", accountCassette{Name: "login"}
			a.Error = `--bypass "10.0.0.0/99": neither host, address, prefix nor port`
		})},
	} {
		o := r.serge(c.args...)
		if o.code != c.code {
			t.Errorf("%s: exit code %d; want %d\n%s", c.name, o.code, c.code, o.stderr)
		}
		got := accountAt(t, file)
		if d := time.Since(got.Started); d < 0 || d > time.Minute || got.Duration <= 0 && c.name != "no start" {
			t.Errorf("%s: began %v ago, took %d ms", c.name, d, got.Duration)
		}
		ignore := cmp.Options{cmpopts.IgnoreFields(account{}, "Started", "Duration"), cmpopts.IgnoreFields(recorded{}, "ID"),
			cmpopts.IgnoreFields(missed{}, "Reason"), cmpopts.IgnoreUnexported(accountReplay{}, missed{})}
		if d := cmp.Diff(c.want, got, ignore); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		if left, _ := filepath.Glob(filepath.Join(r.dir, ".report.json.*")); len(left) > 0 {
			t.Errorf("%s: left behind: %v", c.name, left)
		}
	}
	// Without a file it is the last thing that serge-net says.
	o := r.serge(append([]string{"replay", "login", "-q", "--report", "json", "--"}, append(curl, page+"2")...)...)
	if a := accountOf(t, o.stderr[strings.Index(o.stderr, "{\n"):]); a.Replay == nil || a.Replay.Served != 1 {
		t.Errorf("on stderr: %s", o.stderr)
	}
}

// TestReportInterrupted has a run that is interrupted, and one of proxy, tell
// what they came to.
func TestReportInterrupted(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.dir, "report.json")
	o := r.serge("record", "cut", "--report", "json="+file, "--", "sh", "-c", "curl -sS "+hello+"; kill -INT $PPID; kill -INT $$; sleep 60")
	if a := accountAt(t, file); a.ExitCode != o.code || a.Record == nil || a.Record.Interactions != 1 {
		t.Errorf("exit code %d, report %+v\n%s", o.code, a, o.stderr)
	}
}

// TestReportJUnit holds the cases that --report junit makes of a replay, and that
// it is written where --report json is too.
func TestReportJUnit(t *testing.T) {
	r := newRig(t)
	xsd, err := filepath.Abs("testdata/junit.xsd")
	if err != nil {
		t.Fatal(err)
	}
	page := "http://" + testnet.WWW + "/method?page="
	r.record("suite/a.b", "curl", "-sS", page+"1", page+"2")
	o := r.serge("replay", "suite/a.b", "--report", "junit=report.xml", "--report", "json=report.json", "--", "curl", "-sS", page+"1", page+"<3>")
	if o.code != 97 {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	accountAt(t, filepath.Join(r.dir, "report.json"))
	b, err := os.ReadFile(filepath.Join(r.dir, "report.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if o := r.run("xmllint", "--noout", "--schema", xsd, "report.xml"); o.code != 0 {
		t.Errorf("xmllint: %s\n%s", o.stderr, b)
	}
	var got junitSuites
	if err := xml.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	s := got.Suite
	if s.Tests != 3 || s.Failures != 1 || s.Skipped != 1 || s.Errors != 0 || s.Name != "serge-net suite/a.b" {
		t.Errorf("%+v in\n%s", s, b)
	}
	var cases []string
	for _, c := range s.Cases {
		state := "passed"
		switch {
		case c.Skipped != nil:
			state = "skipped"
		case c.Failure != nil:
			state = "failed: " + strings.SplitAfterN(c.Failure.Text, "\n", 2)[0]
		}
		name, _, _ := strings.Cut(c.Name, " (")
		cases = append(cases, c.Class+" | "+name+" | "+state)
	}
	want := []string{
		"serge-net.suite.a_b.interactions | GET " + page + "1 | passed",
		"serge-net.suite.a_b.interactions | GET " + page + "2 | skipped",
		"serge-net.suite.a_b.misses | GET " + page + "<3> | failed: miss: GET " + page + "<3>\n",
	}
	if d := cmp.Diff(want, cases); d != "" {
		t.Errorf("cases (-want +got):\n%s", d)
	}
}

// TestReportFlag: what can be wrong with it is told before anything is run, and
// what cannot be known before, at the end.
func TestReportFlag(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"jsn", `--report: "jsn" is not one of text, json, junit, each with =FILE or without` + "\nserge-net: hint: did you mean json?\n"},
		{"json=", "not a form and a file"},
		{"text=a", "--log FILE is for the text"},
		{"json=no/such/r.json", "--report json=no/such/r.json: stat no/such: no such file or directory\nserge-net: hint: it names a file in a directory"},
		{"junit=.", "--report junit=.: . is a directory"},
	} {
		var said strings.Builder
		if code := Main([]string{"run", "--report", c.value, "--", "true"}, io.Discard, &said); code != exitStart || !strings.Contains(said.String(), c.want) {
			t.Errorf("--report %s: exit code %d; want %q in\n%s", c.value, code, c.want, &said)
		}
	}
}
