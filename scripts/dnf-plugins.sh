#!/bin/sh
# dnf-plugins.sh DIR : unpacks dnf's plugins (versionlock) into DIR, for tests that copy them into a machine of their own.
# Debian's package of them cannot be installed beside zypper.
set -eu
test ! -d "$1" || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
apt-get -qq update
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download dnf-plugins-core)
dpkg-deb --extract "$work"/dnf-plugins-core_*.deb "$work/unpacked"
mkdir -p "$(dirname "$1")"
mv "$work/unpacked" "$1"
