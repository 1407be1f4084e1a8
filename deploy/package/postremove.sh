#!/bin/sh
# dpkg runs it with "remove", "purge" or "upgrade"; rpm with how many versions are left.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

# The data stays, and so does the user whose data it is, unless dpkg is told to purge the package.
if [ "$1" = purge ]; then
	rm -rf /var/lib/httpdhs
	if getent passwd httpdhs >/dev/null; then
		userdel httpdhs
	fi
fi
