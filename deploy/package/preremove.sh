#!/bin/sh
# dpkg runs it with "remove", "upgrade" or "deconfigure"; rpm with how many versions will be left.
set -e

case "$1" in
remove | 0) ;;
*) exit 0 ;; # a node goes on running while it is upgraded
esac

if [ -d /run/systemd/system ]; then
	systemctl stop httpdhs.service
fi
if command -v systemctl >/dev/null; then
	systemctl --quiet disable httpdhs.service || true # it may be linked or masked by hand
fi
