#!/bin/sh
# Makes a Debian or Ubuntu machine one on which serge-net runs: it installs what
# serge-net calls, and serge-net itself. As root; again is no harm. A plain
# chroot will do: nothing is started and no kernel setting is changed.
#
#   provision.sh [SOURCE]    SOURCE is serge-net's repository; /vagrant if not given
#
# If SOURCE/bin/serge-net runs here it is installed. If not, it is built, by the
# distribution's Go, which fetches the toolchain that go.mod asks for.
set -eu

source=${1:-/vagrant}
program=/usr/local/bin/serge-net

say() { echo "provision: $*"; }

# install_packages installs those that are missing.
install_packages() {
	missing=
	for p in "$@"; do
		dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	say "installing$missing"
	apt-get update -qq
	# shellcheck disable=SC2086 # a list
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

# build_program builds serge-net from $source as $1. The source may be read-only,
# and its repository may be missing.
build_program() {
	install_packages golang-go
	say "building serge-net"
	(cd "$source" && CGO_ENABLED=0 GOTOOLCHAIN=auto GOFLAGS=-buildvcs=false go build -trimpath -ldflags '-s -w' -o "$1" ./cmd/serge-net)
}

# install_program puts serge-net in its place, whole or not at all.
install_program() {
	fresh=$program.$$
	trap 'rm -f "$fresh"' EXIT
	if "$source/bin/serge-net" version >/dev/null 2>&1; then
		say "installing $source/bin/serge-net"
		cp "$source/bin/serge-net" "$fresh"
	elif [ -f "$source/go.mod" ]; then
		build_program "$fresh"
	else
		echo "provision: $source is not serge-net's repository" >&2
		exit 1
	fi
	chmod 755 "$fresh"
	mv "$fresh" "$program"
	trap - EXIT
}

# allow_namespaces tells AppArmor that serge-net may make user namespaces, which
# Ubuntu forbids programs without a profile since 23.10. The netns lane needs one.
allow_namespaces() {
	[ -d /etc/apparmor.d ] && [ -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns ] || return 0
	say "writing an AppArmor profile that allows user namespaces"
	cat >/etc/apparmor.d/serge-net <<-PROFILE
		abi <abi/4.0>,
		include <tunables/global>
		profile serge-net $program flags=(unconfined) {
		  userns,
		  include if exists <local/serge-net>
		}
	PROFILE
	apparmor_parser -r /etc/apparmor.d/serge-net
}

[ "$(id -u)" = 0 ] || { echo "provision: needs root" >&2; exit 1; }
install_packages ca-certificates curl iptables
install_program
allow_namespaces
say "$("$program" version)"
if found=$("$program" doctor); then
	say "ready: serge-net run -- COMMAND"
else
	say "no lane works here:"
	echo "$found"
fi
