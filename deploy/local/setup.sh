#!/bin/sh
# Installs PostgreSQL and RabbitMQ when they are missing, the programs named to it (pgbouncer, for tests), Prometheus where it can (it is
# for --observe alone, and all else works without it), and nothing else. Says nothing when all is there.
# Composerp starts private servers from the installed programs: the distribution's own services are not needed and are left alone.
set -eu

oldest=15 # as in programs.go

have_postgres() {
	for program in /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres /usr/local/pgsql/bin/postgres \
		/opt/homebrew/opt/postgresql*/bin/postgres "$(command -v postgres || true)"; do
		[ -x "$program" ] || continue
		major=$("$program" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
		[ "$major" -ge "$oldest" ] && return 0
	done
	return 1
}

have_rabbitmq() {
	for program in /usr/lib/rabbitmq/bin/rabbitmq-server /opt/rabbitmq*/sbin/rabbitmq-server /opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server \
		"$(command -v rabbitmq-server || true)"; do
		[ -e "$program" ] && return 0
	done
	return 1
}

missing() {
	have_postgres || printf 'postgresql '
	have_rabbitmq || printf 'rabbitmq-server '
	for program; do
		command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || printf '%s ' "$program"
	done
}

packages=$(missing "$@")
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] && ! command -v prometheus >/dev/null; then
	packages="$packages prometheus"
fi
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "setup: missing: $packages" >&2
	if command -v brew >/dev/null; then
		echo "setup: install with: brew install postgresql@17 rabbitmq" >&2
	else
		echo "setup: see https://www.postgresql.org/download/ ($oldest or later) and https://www.rabbitmq.com/docs/download (3.10 or later)" >&2
	fi
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: missing: $packages" >&2
	echo "setup: install with: sudo apt-get install -y --no-install-recommends $packages" >&2
	exit 1
fi

# Debian starts a service as soon as it is installed, unless this file says no. In a container that start often fails, and the installation
# with it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
echo "setup: installing $packages" >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends $packages >&2; }
install || { apt-get update -qq >&2 && install; }

packages=$(missing "$@")
if [ -n "$packages" ]; then
	echo "setup: still missing after the installation, or too old: $packages(PostgreSQL $oldest or later: https://www.postgresql.org/download/linux/)" >&2
	exit 1
fi
