package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReduced takes from an environment what is ours, but for what is named; what
// we replaced is the user's again.
func TestReduced(t *testing.T) {
	ours := []string{"HOME=/root", "SSL_CERT_FILE=/etc/corp.pem"}
	env := []string{"HOME=/root", "SSL_CERT_FILE=/run/m.pem", "NODE_EXTRA_CA_CERTS=/run/c.pem"}
	for _, c := range []struct{ only, want []string }{
		{nil, env},
		{[]string{}, []string{"HOME=/root", "SSL_CERT_FILE=/etc/corp.pem"}},
		{[]string{"NODE_EXTRA_CA_CERTS"}, []string{"HOME=/root", "NODE_EXTRA_CA_CERTS=/run/c.pem", "SSL_CERT_FILE=/etc/corp.pem"}},
		{[]string{"SSL_CERT_FILE"}, []string{"HOME=/root", "SSL_CERT_FILE=/run/m.pem"}},
	} {
		if d := cmp.Diff(c.want, reduced(env, ours, c.only)); d != "" {
			t.Errorf("only %q (-want +got):\n%s", c.only, d)
		}
	}
}

// TestAttempts has each runtime either tried or a reason why not.
func TestAttempts(t *testing.T) {
	for _, a := range attempts() {
		if a.name == "" || a.program == "" || (a.client == nil) == (a.why == "") {
			t.Errorf("%+v", a)
			continue
		}
		if a.client == nil {
			continue
		}
		if argv, _ := a.client("https://api.demo.example:1234/a", "/tmp"); len(argv) < 2 || argv[0] != a.program {
			t.Errorf("%s: %q", a.name, argv)
		}
	}
}
