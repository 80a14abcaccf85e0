#!/bin/sh
# What chroot-test.sh runs inside: provision.sh three times, and serge-net.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8

check() { echo "vagrant-test: $*"; }

check "provision with a built serge-net"
sh /vagrant/vagrant/provision.sh
serge-net version
serge-net doctor || check "no lane works in a chroot of this machine"

check "provision again"
again=$(sh /vagrant/vagrant/provision.sh)
case $again in
*"installing "[!/]*) echo "the second time is not the same: $again" >&2; exit 1 ;;
esac

check "record and replay"
serge-net demo

check "provision from source"
rm /vagrant/bin/serge-net /usr/local/bin/serge-net
sh /vagrant/vagrant/provision.sh
serge-net version
serge-net demo >/dev/null
check "ok"
