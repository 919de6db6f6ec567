#!/bin/sh
# What the service kept in /var/lib/composerp stays.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
