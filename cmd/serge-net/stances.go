package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A stance is how the programs of a runtime come to trust, and what keeps one of
// them from it.
type stance struct {
	kind  string         // the runtime
	names *regexp.Regexp // what its executables are called, with the version in parentheses; nil: anything
	// variables are those that a run sets and the runtime reads, where it reads
	// any. A program that was started without them does not trust.
	variables []string
	// options are those of its command line that name other roots, as they
	// begin. They go before all that a run can say.
	options []string
	// own is what the program's own code says if nothing else does, and what to
	// do about it.
	own string
}

// stances are those that are known: docs/trust.md has where each reads its roots.
func stances() []stance {
	name := regexp.MustCompile
	const nowhere = "it carries its own roots or pins a certificate, which cannot be changed from outside"
	return []stance{
		{"curl", name(`^curl()$`), []string{"SSL_CERT_FILE"}, []string{"--cacert", "--capath", "--pinnedpubkey"}, "leave out cacert and pinnedpubkey in its .curlrc"},
		{"wget", name(`^wget()2?$`), nil, []string{"--ca-certificate", "--ca-directory", "--pinnedpubkey"}, "leave out pinnedpubkey in its .wgetrc"},
		{"git", name(`^git(?:-remote-https?)?()$`), nil, nil, "leave out http.sslCAPath and http.pinnedPubkey: git config --show-origin --get-regexp '^http'"},
		{"OpenSSL", name(`^openssl()$`), []string{"SSL_CERT_FILE"}, []string{"-CAfile", "-CApath", "-CAstore"}, nowhere},
		{"GnuTLS", name(`^gnutls-cli()$`), nil, []string{"--x509cafile", "--tofu", "--strict-tofu"}, nowhere},
		{"Node.js", name(`^node(?:js)?-?([0-9.]*)$`), []string{"NODE_EXTRA_CA_CERTS"}, nil,
			"its code sets ca: or checkServerIdentity: add to ca the file that NODE_EXTRA_CA_CERTS names, or leave it out"},
		{"Deno", name(`^deno()$`), []string{"NODE_EXTRA_CA_CERTS"}, []string{"--cert"}, "its code sets caCerts: add the file that NODE_EXTRA_CA_CERTS names, or leave it out"},
		{"Bun", name(`^bun()$`), []string{"NODE_EXTRA_CA_CERTS"}, nil, "its code sets tls.ca: add the file that NODE_EXTRA_CA_CERTS names, or leave it out"},
		{"Java", name(`^java()w?$`), nil, []string{"-Djavax.net.ssl.trustStore"},
			"its code loads a truststore or pins a certificate: let it have the default one, or name the truststore by JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE, to which a run adds the CA"},
		{"Python", name(`^python([0-9.]*)$`), []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}, nil,
			"its code names a bundle, as by verify=FILE, cafile= or certifi.where(): leave that out, or name the file that SSL_CERT_FILE does"},
		{"Ruby", name(`^j?ruby-?([0-9.]*)$`), []string{"SSL_CERT_FILE"}, nil, "its code sets ca_file or cert_store: leave that out, or name ENV['SSL_CERT_FILE']"},
		{"PHP", name(`^php(?:-fpm|-cgi)?([0-9.]*)$`), []string{"SSL_CERT_FILE"}, nil, "its code sets cafile, peer_fingerprint or CURLOPT_CAINFO, or php.ini openssl.cafile: leave that out"},
		{"Perl", name(`^perl([0-9.]*)$`), []string{"SSL_CERT_FILE"}, nil, "its code sets SSL_ca_file, or uses Mozilla::CA: PERL_LWP_SSL_CA_FILE=$SSL_CERT_FILE"},
		{".NET", name(`^dotnet()$`), []string{"SSL_CERT_FILE"}, nil, "its code checks certificates by itself: leave that out"},
		{"cargo", name(`^cargo()$`), nil, nil, "leave out http.cainfo in .cargo/config.toml, or name $SSL_CERT_FILE: cargo --config http.cainfo=FILE"},
		{"Chromium", name(`^(?:chrome|chromium|brave|msedge|electron|headless_shell)()$`), nil, nil, "make a directory /etc/chromium or ~/.pki/nssdb, and install libnss3-tools: see docs/trust.md"},
		{"Firefox", name(`^firefox(?:-esr|-bin)?()$`), nil, nil, "make a directory /etc/firefox: see docs/trust.md"},
		{"Go", nil, []string{"SSL_CERT_FILE"}, nil, "its code sets RootCAs or VerifyPeerCertificate: " + nowhere},
		{"Rust", nil, []string{"SSL_CERT_FILE"}, nil, "if it has rustls with webpki-roots, " + nowhere},
		{"", nil, []string{"SSL_CERT_FILE"}, nil, nowhere},
	}
}

// stanceOf is that of the runtime kind, or that of what is not known.
func stanceOf(kind string) stance {
	all := stances()
	n := slices.IndexFunc(all, func(s stance) bool { return s.kind == kind })
	return all[n]
}

// remedy is what would have p trust the run whose command got ours as its
// environment. Without ours what p's environment has says nothing.
func (p process) remedy(ours []string) string {
	s := stanceOf(p.kind)
	for _, o := range s.options {
		if a := option(p.argv, o); a != "" {
			return fmt.Sprintf("leave out %s on its command line: it names other roots, or pins a key", a)
		}
	}
	switch {
	case strings.HasPrefix(p.path, "/snap/") || strings.HasPrefix(p.path, "/app/"):
		return "install it by other means than snap or flatpak, which show it files of their own"
	case ours == nil || p.env == nil:
		return s.own
	}
	for _, v := range s.variables {
		want, got := valueOf(ours, v), valueOf(p.env, v)
		switch {
		case want == "" || want == got:
		case got == "":
			return fmt.Sprintf("pass %s on to it, which a run sets: it was started without", v)
		default:
			return fmt.Sprintf("leave %s as a run sets it: it was started with %s", v, got)
		}
	}
	return s.own
}

// option is the argument of argv that is the option o, or begins with it and has
// a value behind it: "" if there is none.
func option(argv []string, o string) string {
	for n, a := range argv {
		switch {
		case n == 0:
		case a == "--":
			return ""
		case a == o || strings.HasPrefix(a, o+"="):
			return a
		}
	}
	return ""
}

// valueOf is what the environment env has for name, "" if nothing.
func valueOf(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}
