package certs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingNamed(t *testing.T) {
	git := setting{section: "http", key: "sslCAInfo"}
	for _, tt := range []struct {
		s    setting
		text string
		want []string
	}{
		{git, "[http]\n\tsslCAInfo = /a b.pem\n", []string{"/a b.pem"}},
		{git, "[user]\n sslcainfo = /no\n[http \"https://x.example\"]\n\tSSLCAINFO=\"/a.pem\" # ours\n[core]\nsslCAInfo=/no", []string{"/a.pem"}},
		{git, "[http]\n# sslCAInfo = /no\n; sslCAInfo = /no\nsslCAInfoX = /no\nsslCAInfo\n", nil},
		{setting{key: "cert"}, "\ufeff[global]\r\ncert = /a.pem\r\nclient_cert = /no\r\ncertificate = /no\r\n", []string{"/a.pem"}},
		{setting{key: "cafile"}, "cafile=corp.pem\n//r.example/:cafile=/no\n\"cafile\" \"/b.pem\"", []string{"corp.pem", "/b.pem"}},
		{setting{key: "cafile"}, "{\n  \"config\": {\n    \"cafile\": \"/a.pem\",\n", []string{"/a.pem"}},
		{setting{key: "httpsCaFilePath"}, `httpsCaFilePath: "/a.pem"`, []string{"/a.pem"}},
		{setting{section: "http", key: "cainfo"}, "[http]\ncainfo = \"/a.pem\"\n[net]\ncainfo = '/no'", []string{"/a.pem"}},
		{setting{key: "BUNDLE_SSL_CA_CERT"}, "---\nBUNDLE_SSL_CA_CERT: \"/a.pem\"\n", []string{"/a.pem"}},
		{setting{key: "ssl_verify"}, "ssl_verify: true\nssl_verify: <truststore>\nssl_verify: /a.pem\n", []string{"/a.pem"}},
		{setting{key: "cacert"}, "--cacert /a.pem\ncacert = \"/b.pem\"\ncacert:/c.pem\n-s\n", []string{"/a.pem", "/b.pem", "/c.pem"}},
		{setting{key: "Acquire::https::CaInfo"}, "Acquire::https::CaInfo \"/a.pem\";\n", []string{"/a.pem"}},
	} {
		if d := cmp.Diff(tt.want, tt.s.named(tt.text)); d != "" {
			t.Errorf("%s in %q (-want +got):\n%s", tt.s.key, tt.text, d)
		}
	}
}

func FuzzSettingNamed(f *testing.F) {
	f.Add("[http \"x\"]\n\tsslCAInfo = /a.pem\n")
	f.Add("--sslcainfo \"/a\n[\n[http\nsslCAInfo")
	f.Fuzz(func(t *testing.T, text string) {
		for _, path := range (setting{section: "http", key: "sslCAInfo"}).named(text) {
			if path == "" || !strings.Contains(text, path) {
				t.Errorf("%q in %q", path, text)
			}
		}
	})
}

// userSettings is a configuration file for each program that has one, which
// names /corp.pem or /home/corp.jks, and how the program is told without mounts.
func userSettings() []struct{ file, text, variable string } {
	return []struct{ file, text, variable string }{
		{"/home/.gitconfig", "[http]\n\tsslCAInfo = ~/corp.pem\n", "GIT_SSL_CAINFO"},
		{"/etc/gitconfig", "[http \"https://x.example\"]\n\tsslCAInfo = /home/corp.pem\n", "GIT_SSL_CAINFO"},
		{"/home/.npmrc", "cafile=${HOME}/corp.pem\n", "npm_config_cafile"},
		{"/src/.npmrc", "cafile=../home/corp.pem\n", "npm_config_cafile"},
		{"/home/.config/pip/pip.conf", "[global]\ncert = /home/corp.pem\n", "PIP_CERT"},
		{"/.cargo/config.toml", "[http]\ncainfo = \"/home/corp.pem\"\n", "CARGO_HTTP_CAINFO"},
		{"/home/.aws/config", "[default]\nca_bundle = /home/corp.pem\n", "AWS_CA_BUNDLE"},
		{"/src/.yarnrc.yml", "httpsCaFilePath: /home/corp.pem\n", "YARN_HTTPS_CA_FILE_PATH"},
		{"/home/.bundle/config", "---\nBUNDLE_SSL_CA_CERT: \"/home/corp.pem\"\n", "BUNDLE_SSL_CA_CERT"},
		{"/home/.condarc", "ssl_verify: /home/corp.pem\n", "CONDA_SSL_VERIFY"},
		{"/home/.wgetrc", "ca_certificate = /home/corp.pem\n", "WGETRC"},
		{"/home/.curlrc", "cacert = /home/corp.pem\n", "CURL_HOME"},
		{"/etc/apt/apt.conf.d/99corp", "Acquire::https::CaInfo \"/home/corp.pem\";\n", "APT_CONFIG"},
		{"/home/.gradle/gradle.properties", "systemProp.javax.net.ssl.trustStore=/home/corp.jks\nsystemProp.javax.net.ssl.trustStorePassword=secret", "JAVA_TOOL_OPTIONS"},
		{"/src/.mvn/jvm.config", "-Xmx1g -Djavax.net.ssl.trustStore=/home/corp.jks -Djavax.net.ssl.trustStorePassword=secret", "JAVA_TOOL_OPTIONS"},
	}
}

// TestSettings has the roots that the user's configuration files name trusted
// beside the system's and ours, with mounts in the file that they name, and
// without by the variable that beats them.
func TestSettings(t *testing.T) {
	systemDER, system := root(t)
	corpDER, corp := root(t)
	for _, tt := range userSettings() {
		fs := files{
			"/etc/ssl/certs/ca-certificates.crt": system, "/home/corp.pem": corp, "/src/": "",
			"/home/corp.jks": string(newJKS([][]byte{corpDER}).encode("secret")),
			tt.file:          tt.text,
		}
		t.Run(tt.file, func(t *testing.T) {
			p, ca := plan(t, true, fs, "HOME=/home")
			if string(p.Extra) != corp || len(p.Notes) > 0 {
				t.Errorf("Extra = %q, notes %q; want the corporate root", p.Extra, p.Notes)
			}
			if tt.variable == "JAVA_TOOL_OPTIONS" {
				m := at(t, p, "/home/corp.jks")
				got, err := trustedIn(m.Data)
				want := newJKS([][]byte{corpDER, ca.Cert().Raw})
				if d := cmp.Diff(want.trusted, got); err != nil || d != "" {
					t.Errorf("%v (-want +got):\n%s", err, d)
				}
				if ks, err := parseJKS(m.Data); err != nil || string(ks.encode("secret")) != string(m.Data) {
					t.Errorf("%v: the truststore has another password", err)
				}
			} else if m := at(t, p, "/home/corp.pem"); !m.Append || string(m.Data) != "\n"+string(ca.PEM()) {
				t.Errorf("the corporate bundle gets %q; want our CA", m.Data)
			}
			if slices.ContainsFunc(p.Env, func(kv string) bool { return strings.HasPrefix(kv, tt.variable+"=") }) {
				t.Errorf("%s is set with mounts", tt.variable)
			}

			p, ca = plan(t, false, fs, "HOME=/home")
			env := environ(p.Env)
			switch tt.variable {
			case "JAVA_TOOL_OPTIONS":
				store, _ := truststoreOption(env.value(tt.variable))
				got, err := trustedIn([]byte(readFile(t, store.path)))
				if d := cmp.Diff([][]byte{systemDER, corpDER, ca.Cert().Raw}, got); err != nil || d != "" {
					t.Errorf("%v (-want +got):\n%s", err, d)
				}
				return
			case "WGETRC", "APT_CONFIG", "CURL_HOME":
				path := env.value(tt.variable)
				if tt.variable == "CURL_HOME" {
					path += "/.curlrc"
				}
				text := readFile(t, path)
				if kept := strings.HasPrefix(text, tt.text); !kept && tt.variable != "APT_CONFIG" {
					t.Errorf("%s leads to %q; want theirs first", tt.variable, text)
				}
				if !strings.Contains(text, env.value("SSL_CERT_FILE")) {
					t.Errorf("%s leads to %q; want our bundle named", tt.variable, text)
				}
				tt.variable = "SSL_CERT_FILE"
			}
			if got := readFile(t, env.value(tt.variable)); got != system+corp+string(ca.PEM()) {
				t.Errorf("%s has %q", tt.variable, got)
			}
		})
	}
}
