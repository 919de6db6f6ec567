#!/bin/sh
# The service setup of compose.yaml: makes what the fleet needs at both servers, as their administrator. It may be run again: passwords
# stay, a new version's parts get users of their own. The folder has two volumes: setup/ gets every URL, and fleet/ those that the
# fleet may have, without the schema's owner and without the tills.
set -eu
cd "$1"
umask 077
composerp secrets create --add setup/fleet.secrets
composerp secrets apply --secrets setup/fleet.secrets
composerp migrate up
composerp topology apply --secrets setup/fleet.secrets

# Running processes read the file again when it has changed: they find the old one or the new one.
grep -v -e ^DATABASE_URL_MIGRATOR= -e ^AMQP_URL_PUBLISHER= setup/fleet.secrets >fleet/fleet.secrets.new
cmp -s fleet/fleet.secrets.new fleet/fleet.secrets || mv fleet/fleet.secrets.new fleet/fleet.secrets
rm -f fleet/fleet.secrets.new
[ -s fleet/page.token ] || head -c 24 /dev/urandom | base64 >fleet/page.token
