#!/bin/sh
# Prints the version of this checkout. 1.2.3 is the tag v1.2.3; 1.2.3+4.gabc1234 is four commits after it. Without tags it is the newest
# version of docs/CHANGELOG.md, with the day and the name of the commit. .dirty says that files differ from the commit.
set -eu
cd "$(dirname "$0")/../.."

if tagged=$(git describe --tags --match 'v[0-9]*' --long --abbrev=8 --dirty 2>/dev/null); then
	dirty=${tagged##*-dirty}
	[ "$dirty" = "$tagged" ] && dirty= || dirty=.dirty
	tagged=${tagged%-dirty}
	commit=${tagged##*-} tagged=${tagged%-*}
	after=${tagged##*-} version=${tagged%-*}
	version=${version#v}
	[ "$after$dirty" = 0 ] || version=$version+$after.$commit$dirty
else
	version=$(sed -n 's/^## \[\([0-9][^]]*\)\].*/\1/p' docs/CHANGELOG.md | head -n 1)
	version=${version:-0.0.0}
	if commit=$(git rev-parse --short=8 HEAD 2>/dev/null); then
		day=$(TZ=UTC git log -1 --date=format-local:%Y%m%d --format=%cd)
		git diff --quiet HEAD -- && dirty= || dirty=.dirty
		version=$version+$day.g$commit$dirty
	fi
fi
echo "$version"
