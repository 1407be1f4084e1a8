#!/usr/bin/env bash
# Prints the version of packages for what git describe says of a commit. dpkg and rpm sort it as
# the history goes:
#   v0.2.0-rc.1         0.2.0~rc.1          before 0.2.0
#   v0.2.0              0.2.0
#   v0.2.0-3-gabc1234   0.2.0+3.gabc1234    three commits after 0.2.0, and before 0.2.1
#   abc1234             0.0.0+870.gabc1234  there is no tag yet: 870 commits from the beginning
set -euo pipefail

version=${1:?usage: scripts/package-version.sh VERSION} rest=
if [[ $version == *-dirty ]]; then
  version=${version%-dirty} rest=.dirty
fi
if [[ $version =~ ^v?([0-9]+\.[0-9]+\.[0-9]+.*)-([0-9]+)-(g[0-9a-f]+)$ ]]; then
  version=${BASH_REMATCH[1]} rest=+${BASH_REMATCH[2]}.${BASH_REMATCH[3]}$rest
elif [[ $version =~ ^v?([0-9]+\.[0-9]+\.[0-9]+.*)$ ]]; then
  version=${BASH_REMATCH[1]} rest=${rest/./+}
elif [[ $version =~ ^[0-9a-f]+$ ]]; then
  rest=+$(git rev-list --count "$version" 2>/dev/null || echo 0).g$version$rest version=0.0.0
elif [[ $version == unknown ]]; then
  rest= version=0.0.0
else
  echo "$0: $1 is no version: want one like v0.1.0 or v0.1.0-rc.1" >&2
  exit 2
fi
version=${version/-/\~}
if [[ $version$rest == *[^0-9A-Za-z.+~]* ]]; then
  echo "$0: $1 is no version that dpkg and rpm know: want one like v0.1.0 or v0.1.0-rc.1" >&2
  exit 2
fi
echo "$version$rest"
