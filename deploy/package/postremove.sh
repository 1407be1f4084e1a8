#!/bin/sh
# dpkg runs it with "remove", "purge" or "upgrade"; rpm with how many versions are left.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

# The data stays, and so does the user whose data it is, unless dpkg is told to purge the package. Then
# the secrets and certificates go too whose places the example of settings gives. All else that is
# there is somebody's own, such as the key of an authority.
if [ "$1" = purge ]; then
	rm -rf /var/lib/httpdhs
	for name in token secret node.crt node.key ca.crt; do
		rm -f "/etc/httpdhs/$name"
	done
	if getent passwd httpdhs >/dev/null; then
		userdel httpdhs
	fi
fi
