//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"
)

// testLimit is how long one package's tests may take. A minute or two on an
// emulated processor that has a real one to itself.
const testLimit = 10 * time.Minute

// runTests runs the tests of one package, as root.
func runTests(name string) *testResult {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/tests/"+name+".test", "-test.v", "-test.run", os.Getenv(testsVariable), "-test.timeout", testLimit.String())
	cmd.Dir = "/tests"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	r := parseTests(out.Bytes())
	r.Package = name
	if err != nil {
		os.Stdout.Write(out.Bytes()) // on the console, for people
		if len(r.Failed) == 0 {
			r.Why = fmt.Sprintf("%v after: %s", err, lastLine(out.Bytes()))
		}
	}
	return r
}

// verdicts are the lines of go test -v that say how a test ended; those of
// subtests are indented.
var verdicts = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+)`)

// parseTests counts the tests in the output of go test -v.
func parseTests(out []byte) *testResult {
	r := new(testResult)
	for _, m := range verdicts.FindAllSubmatch(out, -1) {
		switch string(m[1]) {
		case "PASS":
			r.Passed++
		case "SKIP":
			r.Skipped++
		default:
			r.Failed = append(r.Failed, string(m[2]))
		}
	}
	return r
}
