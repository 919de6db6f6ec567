#!/bin/sh
# Debian calls this with "remove" and on an upgrade with "upgrade"; rpm with how many versions stay: 0 when it is removed.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		# A service that does not stop keeps no package.
		systemctl disable --now composerp.service || true
		systemctl stop 'composerp-worker@*.service' || true
		systemctl disable composerp-worker@.service || true
	fi
	;;
esac
