//go:build ignore

package main

import (
	"io"
	"net/http"
	"strings"

	v1 "github.com/dnaeon/go-vcr/recorder"
	v3 "gopkg.in/dnaeon/go-vcr.v3/recorder"
	v4 "gopkg.in/dnaeon/go-vcr.v4/pkg/recorder"
)

const u = "http://api.example.com:8123"

func do(c *http.Client, method, path, ct, body string) {
	req, _ := http.NewRequest(method, u+path, strings.NewReader(body))
	if body == "" {
		req, _ = http.NewRequest(method, u+path, nil)
	}
	if ct != "" {
		req.Header.Set("Content-Type", ct)
	}
	req.Header.Set("Authorization", "Bearer s3cr3t-token")
	res, err := c.Do(req)
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
}
func all(c *http.Client) {
	do(c, "GET", "/json?q=1&r=a%20b", "", "")
	do(c, "GET", "/bin", "", "")
	do(c, "GET", "/count", "", "")
	do(c, "GET", "/count", "", "")
	do(c, "GET", "/text", "", "")
	do(c, "GET", "/nope", "", "")
	do(c, "POST", "/items", "application/json", `{"id":7,"tag":"x"}`)
	do(c, "POST", "/form", "application/x-www-form-urlencoded", `a=1&b=x+y`)
}
func main() {
	r, err := v4.New("out/govcr4", v4.WithMode(v4.ModeRecordOnly), v4.WithSkipRequestLatency(true))
	if err != nil {
		panic(err)
	}
	all(r.GetDefaultClient())
	r.Stop()
	m, err := v3.NewWithOptions(&v3.Options{CassetteName: "out/govcr3", Mode: v3.ModeRecordOnly, SkipRequestLatency: true, RealTransport: http.DefaultTransport})
	if err != nil {
		panic(err)
	}
	all(m.GetDefaultClient())
	m.Stop()
	o, err := v1.NewAsMode("out/govcr1", v1.ModeRecording, nil)
	if err != nil {
		panic(err)
	}
	all(&http.Client{Transport: o})
	o.Stop()
}
