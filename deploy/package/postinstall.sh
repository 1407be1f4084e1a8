#!/bin/sh
# dpkg runs it with "configure" and the version before, if there was one; rpm with how many versions
# there are now.
set -e

case "$1" in
configure) [ -z "$2" ] || upgrade=yes ;;
1) ;;
2) upgrade=yes ;;
*) exit 0 ;; # dpkg goes back to the version before
esac

if ! getent passwd httpdhs >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers httpdhs.conf
	else
		useradd --system --user-group --home-dir /var/lib/httpdhs --no-create-home --shell /usr/sbin/nologin httpdhs
	fi
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

# It is neither started nor restarted. A node that starts before it is set up founds a cluster of its
# own, and nodes that all restart at once lose what they have in memory alone.
if [ -z "$upgrade" ]; then
	echo "httpdhs is not started. Set it up in /etc/httpdhs/httpdhs.env, then: systemctl enable --now httpdhs"
elif [ -d /run/systemd/system ] && systemctl --quiet is-active httpdhs.service; then
	echo "httpdhs runs the version before until you restart it, one node at a time: systemctl restart httpdhs"
fi
