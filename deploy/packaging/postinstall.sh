#!/bin/sh
# Debian calls this with "configure" and the version before, if any; rpm with how many versions are installed then.
set -e

case "$1" in
configure) upgrade=$2 ;;
[0-9]*) [ "$1" -gt 1 ] && upgrade=yes || upgrade= ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# What runs goes on with the new version. What is in hand is finished first.
	if [ -n "$upgrade" ]; then
		systemctl try-restart composerp.service 'composerp-worker@*.service'
	fi
fi
