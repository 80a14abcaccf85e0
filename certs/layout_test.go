package certs

// layout is where a distribution has its roots, and what a plan makes of it.
type layout struct {
	name   string
	files  files
	dirs   []string
	binds  []string
	hashed string            // the directory with our link
	links  map[string]string // kept
	pems   []string          // with our CA added
	jks    []string
}

// layouts is those of six kinds of host, whose only root is der, in text.
func layouts(der []byte, text string) []layout {
	jks := string(newJKS([][]byte{der}).encode(jksPassword))
	return []layout{
		{
			name: "Debian",
			files: files{
				"/etc/ssl/certs/ca-certificates.crt":  text,
				"/etc/ssl/certs/0123abcd.0":           "-> One.pem",
				"/etc/ssl/certs/One.pem":              "-> /usr/share/ca-certificates/One.crt",
				"/etc/ssl/certs/java/cacerts":         jks,
				"/usr/share/ca-certificates/One.crt":  text,
				"/usr/lib/jvm/a/lib/security/cacerts": "-> /etc/ssl/certs/java/cacerts",
			},
			dirs:   []string{"/etc/ssl/certs"},
			hashed: "/etc/ssl/certs",
			links: map[string]string{
				"/etc/ssl/certs/0123abcd.0": "One.pem",
				"/etc/ssl/certs/One.pem":    "/usr/share/ca-certificates/One.crt",
			},
			pems: []string{"/etc/ssl/certs/ca-certificates.crt"},
			jks:  []string{"/etc/ssl/certs/java/cacerts"},
		},
		{
			name: "Fedora",
			files: files{
				"/etc/ssl/certs":                                      "-> ../pki/tls/certs",
				"/etc/pki/tls/certs/ca-bundle.crt":                    "-> /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
				"/etc/pki/tls/cert.pem":                               "-> /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
				"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem":   text,
				"/etc/pki/ca-trust/extracted/pem/email-ca-bundle.pem": text,
				"/etc/pki/ca-trust/extracted/java/cacerts":            jks,
				"/etc/pki/ca-trust/source/anchors/":                   "",
				"/etc/pki/java/cacerts":                               "-> /etc/pki/ca-trust/extracted/java/cacerts",
			},
			dirs:   []string{"/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/pki/ca-trust/source/anchors"},
			hashed: "/etc/pki/tls/certs",
			links:  map[string]string{"/etc/pki/tls/certs/ca-bundle.crt": "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"},
			pems:   []string{"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/ca-trust/source/anchors/serge-net-ca.pem"},
			jks:    []string{"/etc/pki/ca-trust/extracted/java/cacerts"},
		},
		{
			name: "SUSE",
			files: files{
				"/etc/ssl/certs":                              "-> ../../var/lib/ca-certificates/pem",
				"/etc/ssl/ca-bundle.pem":                      "-> ../../var/lib/ca-certificates/ca-bundle.pem",
				"/var/lib/ca-certificates/ca-bundle.pem":      text,
				"/var/lib/ca-certificates/java-cacerts":       jks,
				"/var/lib/ca-certificates/pem/0123abcd.0":     "-> One.pem",
				"/var/lib/ca-certificates/pem/One.pem":        text,
				"/var/lib/ca-certificates/openssl/0a0b0c0d.0": text,
			},
			dirs:   []string{"/var/lib/ca-certificates"},
			hashed: "/var/lib/ca-certificates/pem",
			links:  map[string]string{"/var/lib/ca-certificates/pem/0123abcd.0": "One.pem"},
			pems:   []string{"/var/lib/ca-certificates/ca-bundle.pem", "/var/lib/ca-certificates/pem/ca-certificates.crt"},
			jks:    []string{"/var/lib/ca-certificates/java-cacerts"},
		},
		{
			name: "a bundle outside, a loose one, a JDK and Python of their own",
			files: files{
				"/etc/ssl/certs/ca-bundle.crt":                                             "-> /nix/store/ca-bundle.crt",
				"/nix/store/ca-bundle.crt":                                                 text,
				"/etc/ssl/cert.pem":                                                        text,
				"/usr/lib/jvm/b/lib/security/cacerts":                                      jks,
				"/opt/py/bin/python3":                                                      "",
				"/opt/py/lib/python3.12/site-packages/certifi/cacert.pem":                  text,
				"/opt/py/lib/python3.12/site-packages/pip/_vendor/certifi/cacert.pem":      text,
				"/src/.venv/lib/python3.12/site-packages/certifi/cacert.pem":               text,
				"/home/.pyenv/versions/3.9/lib/python3.9/site-packages/certifi/cacert.pem": text,
				"/home/.pyenv/shims/":                                                      "",
			},
			dirs: []string{"/etc/ssl/certs"},
			binds: []string{
				"/etc/ssl/cert.pem",
				"/usr/lib/jvm/b/lib/security/cacerts",
				"/opt/py/lib/python3.12/site-packages/certifi/cacert.pem",
				"/opt/py/lib/python3.12/site-packages/pip/_vendor/certifi/cacert.pem",
				"/src/.venv/lib/python3.12/site-packages/certifi/cacert.pem",
				"/home/.pyenv/versions/3.9/lib/python3.9/site-packages/certifi/cacert.pem",
			},
			hashed: "/etc/ssl/certs",
			pems:   []string{"/etc/ssl/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/src/.venv/lib/python3.12/site-packages/certifi/cacert.pem"},
			jks:    []string{"/usr/lib/jvm/b/lib/security/cacerts"},
		},
		{
			name: "Arch",
			files: files{
				"/etc/ssl/certs/ca-certificates.crt":                      "-> ../../ca-certificates/extracted/tls-ca-bundle.pem",
				"/etc/ssl/certs/0123abcd.0":                               "-> ../../ca-certificates/extracted/cadir/One.pem",
				"/etc/ssl/certs/java/cacerts":                             "-> ../../../ca-certificates/extracted/java-cacerts.jks",
				"/etc/ssl/cert.pem":                                       "-> ../ca-certificates/extracted/tls-ca-bundle.pem",
				"/etc/ca-certificates/extracted/tls-ca-bundle.pem":        text,
				"/etc/ca-certificates/extracted/java-cacerts.jks":         jks,
				"/etc/ca-certificates/extracted/cadir/One.pem":            text,
				"/etc/ca-certificates/trust-source/anchors/":              "",
				"/usr/lib/jvm/java-21-openjdk/lib/security/cacerts":       "-> /etc/ssl/certs/java/cacerts",
				"/usr/lib/jvm/java-21-openjdk/lib/security/public_suffix": "",
			},
			dirs:   []string{"/etc/ssl/certs", "/etc/ca-certificates/extracted", "/etc/ca-certificates/trust-source/anchors"},
			hashed: "/etc/ssl/certs",
			links:  map[string]string{"/etc/ssl/certs/ca-certificates.crt": "../../ca-certificates/extracted/tls-ca-bundle.pem"},
			pems:   []string{"/etc/ca-certificates/extracted/tls-ca-bundle.pem", "/etc/ca-certificates/trust-source/anchors/serge-net-ca.pem"},
			jks:    []string{"/etc/ca-certificates/extracted/java-cacerts.jks"},
		},
		{
			name: "version managers",
			files: files{
				"/etc/ssl/certs/ca-certificates.crt":                                              text,
				"/home/.sdkman/candidates/java/21/lib/security/cacerts":                           jks,
				"/home/.sdkman/candidates/java/current":                                           "-> 21",
				"/home/.jdks/corretto-17/lib/security/cacerts":                                    string(pkcs12(der)),
				"/home/.asdf/installs/java/8/jre/lib/security/cacerts":                            jks,
				"/home/.local/share/mise/installs/java/11/lib/security/cacerts":                   jks,
				"/opt/openjdk-9/lib/security/cacerts":                                             jks,
				"/home/.local/share/pipx/venvs/x/lib/python3.12/site-packages/certifi/cacert.pem": text,
				"/src/venv/lib/python3.12/site-packages/certifi/cacert.pem":                       text,
				"/usr/local/ssl/cert.pem":                                                         text,
				"/usr/local/ssl/certs/":                                                           "",
				"/home/linuxbrew/.linuxbrew/etc/openssl@3/cert.pem":                               "-> ../ca-certificates/cert.pem",
				"/home/linuxbrew/.linuxbrew/etc/ca-certificates/cert.pem":                         text,
				"/home/.nix-profile/etc/ssl/certs/ca-bundle.crt":                                  "-> /nix/store/x/ca-bundle.crt",
				"/nix/store/x/ca-bundle.crt":                                                      text,
			},
			dirs: []string{"/etc/ssl/certs", "/usr/local/ssl/certs"},
			binds: []string{
				"/usr/local/ssl/cert.pem",
				"/home/linuxbrew/.linuxbrew/etc/ca-certificates/cert.pem",
				"/nix/store/x/ca-bundle.crt",
				"/opt/openjdk-9/lib/security/cacerts",
				"/home/.sdkman/candidates/java/21/lib/security/cacerts",
				"/home/.jdks/corretto-17/lib/security/cacerts",
				"/home/.asdf/installs/java/8/jre/lib/security/cacerts",
				"/home/.local/share/mise/installs/java/11/lib/security/cacerts",
				"/src/venv/lib/python3.12/site-packages/certifi/cacert.pem",
				"/home/.local/share/pipx/venvs/x/lib/python3.12/site-packages/certifi/cacert.pem",
			},
			hashed: "/usr/local/ssl/certs",
			pems:   []string{"/etc/ssl/certs/ca-certificates.crt", "/usr/local/ssl/cert.pem", "/nix/store/x/ca-bundle.crt"},
			jks:    []string{"/home/.jdks/corretto-17/lib/security/cacerts", "/opt/openjdk-9/lib/security/cacerts"},
		},
	}
}
