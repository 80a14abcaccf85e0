package foreign

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/cassette"
)

// exported is the file that c is in the form called target.
func exported(t *testing.T, c *cassette.Cassette, target, name string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := Write(&out, c, target, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// output is what a command prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// TestToolsRead has the tools themselves read what was exported for them; with
// SERGE_TEST_ALL also those that come from a registry or take long.
func TestToolsRead(t *testing.T) {
	tools := map[string]func(*testing.T){"node": nodeChecks}
	if os.Getenv("SERGE_TEST_ALL") != "" {
		maps.Copy(tools, map[string]func(*testing.T){"vcrpy": vcrpyAnswers, "VCR": vcrAnswers, "tshark": tsharkDecodes, "WireMock": wireMockAnswers})
	}
	for name, reads := range tools {
		t.Run(name, reads)
	}
}

// nodeChecks that the load test is JavaScript.
func nodeChecks(t *testing.T) {
	c := imported(t, "mitmproxy.flows")
	output(t, "node", "--check", exported(t, c, "k6", filepath.Join(t.TempDir(), "k6.mjs")))
}

// asking is a Python program that asks what origin was asked, behind vcrpy.
const asking = `
import sys, vcr, requests
U = "http://api.example.com:8123"
with vcr.use_cassette(sys.argv[1], record_mode="none", match_on=["method", "uri", "body"]) as c:
    print(requests.get(U + "/json?q=1&r=a%20b").json())
    print(requests.get(U + "/bin").content == bytes(range(256)))
    print([requests.get(U + "/count").text[:5] for _ in range(2)])
    print(requests.get(U + "/text").text)
    r = requests.get(U + "/nope"); print(r.status_code, r.text)
    print(requests.post(U + "/items", data=b'{"id":7,"tag":"x"}', headers={"Content-Type": "application/json"}).text)
    print(c.play_count)
`

// vcrpyAnswers has vcrpy itself answer from what was exported.
func vcrpyAnswers(t *testing.T) {
	dir := t.TempDir()
	output(t, "python3", "-m", "venv", dir)
	output(t, dir+"/bin/pip", "install", "-q", "vcrpy==9.4.2", "requests")
	got := output(t, dir+"/bin/python", "-c", asking, exported(t, imported(t, "mitmproxy.flows"), "vcrpy", dir+"/it.yaml"))
	want := "{'name': 'ada', 'city': 'Zürich'}\nTrue\n['call ', 'call ']\ngrüezi\nwohl: \"yes\"\n\n404 {\"error\": \"none\"}\n{\"got\":{\"id\":7,\"tag\":\"x\"}}\n7\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("vcrpy's answers (-want +got):\n%s", diff)
	}
}

// asked by Ruby's VCR.
const askingRuby = `
require 'vcr'; require 'net/http'
VCR.configure { |c| c.cassette_library_dir = ARGV[0]; c.hook_into :webmock }
u = 'http://api.example.com:8123'
VCR.use_cassette('it', record: :none, match_requests_on: [:method, :uri, :body]) do
  p Net::HTTP.get_response(URI(u + '/bin')).body.bytes == (0..255).to_a
  puts [1, 2].map { Net::HTTP.get(URI(u + '/count'))[0, 5] }.inspect
  puts Net::HTTP.get(URI(u + '/text')).force_encoding('UTF-8')
  r = Net::HTTP.get_response(URI(u + '/nope')); puts r.code + ' ' + r.body
  puts Net::HTTP.post(URI(u + '/items'), '{"id":7,"tag":"x"}', 'Content-Type' => 'application/json').body
end
`

// vcrAnswers has VCR itself answer from what was exported.
func vcrAnswers(t *testing.T) {
	dir := t.TempDir()
	exported(t, imported(t, "mitmproxy.flows"), "vcr", dir+"/it.yml")
	got := output(t, "ruby", "-e", askingRuby, dir)
	want := "true\n[\"call \", \"call \"]\ngrüezi\nwohl: \"yes\"\n404 {\"error\": \"none\"}\n{\"got\":{\"id\":7,\"tag\":\"x\"}}\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("VCR's answers (-want +got):\n%s", diff)
	}
}

// tsharkDecodes has Wireshark's dissectors read the capture.
func tsharkDecodes(t *testing.T) {
	file := exported(t, imported(t, "mitmproxy.flows"), "pcapng", filepath.Join(t.TempDir(), "it.pcapng"))
	got := output(t, "tshark", "-r", file, "-Y", "http.response or websocket", "-T", "fields", "-e", "http.response.code", "-e", "http.content_length", "-e", "websocket.opcode", "-e", "_ws.malformed")
	want := "404\t17\t\t\n200\t55\t\t\n200\t256\t\t\n200\t6\t\t\n"
	for _, n := range []string{"6", "7", "8"} { // digits of the origin's counter
		got = strings.ReplaceAll(got, "200\t"+n+"\t", "200\tN\t")
	}
	want = strings.ReplaceAll(want, "200\t6\t", "200\tN\t")
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "\t1,2\t") || strings.Contains(got, "alformed") {
		t.Errorf("tshark decodes\n%s\nwant it to begin with\n%s", got, want)
	}
}

// wireMockAnswers has WireMock itself answer from what was exported.
func wireMockAnswers(t *testing.T) {
	dir := t.TempDir()
	exported(t, imported(t, "mitmproxy.flows"), "wiremock", dir+"/mappings/it.json")
	output(t, "mvn", "-q", "dependency:get", "-Dartifact=org.wiremock:wiremock-standalone:3.9.1")
	jar := strings.TrimSpace(output(t, "sh", "-c", "find ~/.m2 -name wiremock-standalone-3.9.1.jar"))
	cmd := exec.CommandContext(t.Context(), "java", "-jar", jar, "--port", "0", "--bind-address", "127.0.0.1", "--root-dir", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var port string
	for lines := bufio.NewScanner(out); port == "" && lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "port:"); ok {
			port = strings.TrimSpace(rest)
		}
	}
	proxy := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for _, want := range []string{"GET /bin 200 " + bin(), "GET /count 200 call", "GET /count 200 call", "GET /text 200 grüezi\nwohl: \"yes\"\n", `GET /nope 404 {"error": "none"}`} {
		path := strings.Fields(want)[1]
		res, err := client.Get("http://api.example.com:8123" + path)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(res.Body)
		res.Body.Close()
		if got := fmt.Sprintf("GET %s %d %s", path, res.StatusCode, body.String()); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("WireMock answers %q, %v; want %q", got, err, want)
		}
	}
}
