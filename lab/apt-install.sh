#!/bin/sh
# apt-install.sh PACKAGE... : installs Debian packages without starting any service that they bring, such as sshd.
set -eu
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  made=yes
fi
trap '[ -z "$made" ] || rm -f $policy' EXIT
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
