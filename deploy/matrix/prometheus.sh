#!/bin/sh
# Builds a Prometheus 3 from its Go modules, without its web pages, once (minutes), and has it run every panel, every alert and the
# console page of a fleet with work. It ends with 75 where it cannot be built: no module proxy.
set -eu
version=v0.316.0 # 3.16.0
cd "$(dirname "$0")/../.."
programs=$(mkdir -p "${MATRIX:-.matrix}" && cd "${MATRIX:-.matrix}" && pwd)/prometheus-$version
if ! [ -x "$programs/prometheus" ]; then
	for name in prometheus promtool; do
		GOBIN=$programs CGO_ENABLED=0 GOFLAGS= go install -ldflags "-s -w -X github.com/prometheus/common/version.Version=3.${version#v0.3}" \
			"github.com/prometheus/prometheus/cmd/$name@$version" || { echo "matrix: Prometheus $version cannot be built here" >&2; exit 75; }
	done
fi
PATH=$programs:$PATH
export PATH
go test ./deploy/monitoring -count=1
exec go run ./deploy/local/withservers -- go test ./cli -count=1 -timeout 30m -run '^(TestUpWithServersOfItsOwn|TestThePageInABrowser)$'
