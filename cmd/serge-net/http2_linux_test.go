package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// clock is the time in a date.
var clock = regexp.MustCompile(`[0-9]+ [A-Z][a-z]+ [0-9]+ [0-9:]+ GMT`)

// TestHTTP2 has clients of many makes tell all that they see of HTTP/2, and see
// it again in the replay, and where all of it misses and goes on.
func TestHTTP2(t *testing.T) {
	r := newRig(t)
	const h2 = "https://" + testnet.H2
	shell := func(script string) []string { return []string{"sh", "-c", script} }
	paths := []string{"/json", "/early", "/trailers", "/gzip", "/abort", "/status?code=204", "/status?code=404",
		"/bytes?n=300000", "/bytes?n=300001&chunked=1", "/sse?n=3&gap=10", "POST /echo", "POST /json"}
	for _, c := range []struct {
		name string
		argv []string
		want []string // in what is printed
		slow bool
	}{
		{"Node http2", append([]string{"node", r.source("http2_client.mjs"), h2}, paths...), []string{
			`interim [":status","103","link","</style.css>; rel=preload; as=style"]`, `trailers ["x-checksum","sum-of-22-bytes"]`, "NGHTTP2_INTERNAL_ERROR", "  300000 bytes ", "100000 bytes"}, false},
		{"Node http2 in clear text", append([]string{"node", r.source("http2_client.mjs"), "http://" + testnet.H2}, paths...), []string{
			`trailers ["x-checksum","sum-of-22-bytes"]`, "NGHTTP2_INTERNAL_ERROR"}, false},
		{"nghttp", shell("nghttp -v " + h2 + "/json " + h2 + "/early " + h2 + "/trailers | grep -a -o 'recv (stream_id=.*\\|^{.*\\|; END.*' | sort"), []string{
			") :status: 103", ") x-checksum: sum-of-22-bytes"}, false},
		{"h2load", shell("h2load -n 1000 -c 2 -m 100 " + h2 + "/hello | grep -o 'requests: .*\\|status codes: .*\\|([0-9]*) data'"), []string{
			"1000 succeeded", "1000 2xx", "(27000) data"}, false},
		{"h2load, 10,000 streams", shell("h2load -n 10000 -c 1 -m 10000 " + h2 + "/hello | grep -o 'requests: .*\\|status codes: .*\\|([0-9]*) data'"), []string{
			"10000 succeeded", "10000 2xx"}, true},
		{"curl", shell("curl -sS -i --http2 -d @/etc/passwd " + h2 + "/echo --next -sS -i --http2 " + h2 + "/trailers " + h2 + "/abort; echo = $?"), []string{"HTTP/2 200", "half of a body= 92"}, false},
		{"Go net/http", []string{built.goget, h2 + "/json", h2 + "/early", h2 + "/trailers", h2 + "/bytes?n=300000"}, []string{"200 "}, false},
		{"Java HttpClient", []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "HttpClientGet", h2 + "/json", h2 + "/gzip", h2 + "/trailers"}, []string{"200 "}, true},
	} {
		if c.slow && os.Getenv("SERGE_TEST_ALL") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			r := r.in(t, "")
			got := r.same(c.argv...)
			o := r.well(append([]string{"run", "--mode", "new", "--cassette", "mixed", "--"}, c.argv...)...)
			if d := cmp.Diff(clock.ReplaceAllString(got, "TIME"), clock.ReplaceAllString(o.stdout, "TIME")); d != "" {
				t.Errorf("where it misses it prints (-recorded +mixed):\n%s", d)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("it prints %q; want %q", got, want)
				}
			}
		})
	}
}
