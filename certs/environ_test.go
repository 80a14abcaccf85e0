package certs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnviron(t *testing.T) {
	e := newEnviron([]string{"A=1", "B=2", "A=3", "AB=4", "odd"})
	if got := e.value("A"); got != "1" {
		t.Errorf("value(A) = %q; want the first", got)
	}
	e.set("A", "5")
	e.set("C", "6")
	if d := cmp.Diff(environ{"A=5", "B=2", "AB=4", "odd", "C=6"}, e); d != "" {
		t.Errorf("after set (-want +got):\n%s", d)
	}
}

func TestTruststoreOption(t *testing.T) {
	for _, tt := range []struct {
		in, store string
		rest      []string
	}{
		{"", "", nil},
		{"-Xmx1g  -Da=b", "", []string{"-Xmx1g", "-Da=b"}},
		{"-Djavax.net.ssl.trustStore=/a -Xmx1g -Djavax.net.ssl.trustStorePassword=p -Djavax.net.ssl.trustStoreType=PKCS12", "/a", []string{"-Xmx1g"}},
		{`"-Djavax.net.ssl.trustStore=/a b" '-Dx=y z'`, "/a b", []string{"'-Dx=y z'"}},
		{`-Djavax.net.ssl.trustStore="/a b"`, "/a b", nil},
		{"-Djavax.net.ssl.trustStore=/a\t-Djavax.net.ssl.trustStore=/b", "/b", nil},
	} {
		store, rest := truststoreOption(tt.in)
		if want := strings.Contains(tt.in, "Password=p"); (store.password == "p") != want {
			t.Errorf("truststoreOption(%q): the password is %q", tt.in, store.password)
		}
		if d := cmp.Diff(tt.rest, rest); store.path != tt.store || d != "" {
			t.Errorf("truststoreOption(%q) = %q, %q; want %q, %q", tt.in, store.path, rest, tt.store, tt.rest)
		}
	}
}
