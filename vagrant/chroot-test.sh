#!/bin/bash
# Runs provision.sh in a Debian that debootstrap makes from the mirror that this
# machine's apt uses: once with a built serge-net, once more, once from source.
# Then serge-net records and replays there. As root; nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:-trixie} # Vagrantfile's Debian
[ -x bin/serge-net ] || { echo "vagrant-test: make build first" >&2; exit 1; }
# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' 'Created-By: Packages' | awk '$2 == "Debian" && $1 !~ /security/ { print $1; exit }')
[ -n "$mirror" ] || { echo "vagrant-test: apt knows no Debian mirror" >&2; exit 1; }

# Mounts are made in a namespace of their own, so that removing the tree, done
# outside of it, cannot reach through them.
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
echo "vagrant-test: debootstrap $suite"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { tail -20 "$root.log"; exit 1; }
rm -f "$root.log"

chmod 755 "$root" # apt fetches as a user of its own
mkdir "$root/vagrant"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$root/vagrant"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/hosts "$root/etc/hosts"
cp vagrant/inside.sh "$root/inside.sh"
mkdir "$root/vagrant/bin"
cp bin/serge-net "$root/vagrant/bin/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/host-ca.pem" # a Go proxy may be behind a CA of this machine's own
# shellcheck disable=SC2016 # the inner shell expands
unshare --mount --propagation private bash -euc '
	mount -t proc proc "$1/proc"
	mount --rbind /sys "$1/sys"
	mount --rbind /dev "$1/dev"
	exec env -u SSL_CERT_DIR SSL_CERT_FILE=/host-ca.pem GOPROXY="$2" chroot "$1" /bin/sh /inside.sh
' vagrant-test "$root" "$(go env GOPROXY)"
