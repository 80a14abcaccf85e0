package certs

// opensslPlaces are the directories of OpenSSLs that are not the system's
// (OPENSSLDIR, which `openssl version -d` tells): built by hand, or brought by
// Homebrew, conda, Nix and Guix, with the bundles that these install.
func opensslPlaces() []string {
	return []string{
		"/usr/local/ssl", "/usr/local/etc/ssl", "/usr/local/openssl*/ssl", "/opt/openssl*", "/opt/openssl*/ssl",
		"/home/linuxbrew/.linuxbrew/etc/openssl@*", "/home/linuxbrew/.linuxbrew/etc/ca-certificates",
		"$HOMEBREW_PREFIX/etc/openssl@*", "$HOMEBREW_PREFIX/etc/ca-certificates",
		"$CONDA_PREFIX/ssl", "$CONDA_PREFIX_1/ssl",
		"~/.nix-profile/etc/ssl/certs", "/nix/var/nix/profiles/default/etc/ssl/certs", "/run/current-system/sw/etc/ssl/certs",
		"~/.guix-profile/etc/ssl/certs", "~/.rbenv/versions/*/openssl/ssl", "~/.asdf/installs/ruby/*/openssl/ssl",
	}
}

// bindOpenSSL plans our CA into the bundles of those OpenSSLs.
func (p *planner) bindOpenSSL() {
	for _, dir := range p.directories(opensslPlaces()) {
		for _, name := range []string{"cert.pem", "cacert.pem", "ca-bundle.crt", "ca-certificates.crt"} {
			p.append(dir + "/" + name)
		}
	}
}

// hashedPlaces are the directories in which these OpenSSLs look for hashes,
// which are covered as the system's own.
func hashedPlaces() []string {
	var dirs []string
	for _, dir := range opensslPlaces() {
		dirs = append(dirs, dir+"/certs")
	}
	return dirs
}
