#!/bin/sh
# Runs the fleet's tests, a cluster of three nodes, the demo and chaos on the servers of a Debian suite, the steps of
# deploy/Dockerfile, and every panel on a Prometheus 3, one after the other, and ends with a table of what passed: run.sh trixie.
# With --short before it, only the tests of what talks to the broker, and a short demo and chaos.
#
# Where the suite cannot be set up (setup.sh ends with 75: no root, no mounts, no mirror), the short form ends with 0, for the change
# that is checked is not at fault, and the long form with 75. Any other trouble is a failure of both.
set -eu
short=
[ "$1" != --short ] || { short=1; shift; }
suite=$1
cd "$(dirname "$0")/../.."

status=0
deploy/matrix/setup.sh "$suite" || status=$?
[ "$status" != 75 ] || [ -z "$short" ] || { echo "matrix: GOING ON: nothing was run on the servers of $suite" >&2; exit 0; }
[ "$status" = 0 ] || exit "$status"

inside() { deploy/matrix/inside.sh "$suite" "$@"; }
data=$(mktemp -d)
chmod 755 "$data"
trap 'rm -rf "$data"' EXIT
trap 'exit 130' INT TERM

# run NAME COMMAND...
failed=0
run() {
	name=$1 began=$(date +%s)
	shift
	echo "matrix: $suite: $name: $*" >&2
	if "$@"; then result=passed; else result=FAILED failed=1; fi
	printf '%-10s %s  %d s\n' "$name" "$result" $(($(date +%s) - began)) >>"$data/results"
}
tests() {
	name=$1
	shift
	run "$name" inside go run ./deploy/local/withservers -- go test -short -timeout 60m -parallel 4 "$@"
}

inside dpkg-query --show --showformat '${Package} ${Version}\n' rabbitmq-server erlang-base 'postgresql-[0-9]*' | awk 'NF == 2' >"$data/results"
make build
if [ -n "$short" ]; then
	# What talks to the broker; the rest shows the same on any servers, and the long form runs it.
	tests tests ./exchange/rabbitmq/... ./exchange/management/... ./store ./store/grants ./workers/worker ./workers/runtime/relay \
		./workers/runtime/scaler ./workers/runtime/watchdog ./workers/runtime/deadletters ./workers/runtime/unrouted
	days="--days 7" seconds=30s
else
	tests tests ./...
	run cluster inside go test -timeout 30m -parallel 1 -run '^TestCluster' ./deploy/local ./deploy/faults
	days="" seconds=1m
fi
run demo inside bin/composerp demo --exit --plain --speed max $days --fresh --dir "$data/demo"
run chaos inside bin/composerp chaos --seed 1 --duration "$seconds" --results "bin/matrix-$suite.ndjson"
[ -n "$short" ] || run image deploy/matrix/image.sh           # on this machine's servers
[ -n "$short" ] || run prometheus deploy/matrix/prometheus.sh # likewise

echo "matrix: $suite"
cat "$data/results"
exit $failed
