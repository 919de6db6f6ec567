#!/bin/sh
# Runs a command in a Debian suite that setup.sh has set up, with this clone, the folder shared/ beside it, and Go at the paths that
# they have outside: inside.sh trixie make demo. The command sees no other installation, so it takes the suite's servers. What it
# started and what was mounted ends with it, however it ends.
set -eu
suite=$1
shift
clone=$(cd "$(dirname "$0")/../.." && pwd)
root=$(cd "${MATRIX:-$clone/.matrix}/$suite" && pwd)
export GOCACHE="$(go env GOCACHE)" GOMODCACHE="$(go env GOMODCACHE)" GOTOOLCHAIN=local
goroot=$(go env GOROOT)
mkdir -p "$GOCACHE" "$GOMODCACHE"
# The test cache knows what a test read, not which servers it talked to.
export GOFLAGS="-count=1" PATH="$goroot/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

exec unshare --mount --propagation private --pid --fork --kill-child sh -euc '
root=$1 clone=$2 goroot=$3
shift 3
mount -t proc proc "$root/proc"
for folder in /dev /sys /tmp /var/tmp "$clone" "$(dirname "$clone")/shared" "$goroot" "$GOCACHE" "$GOMODCACHE"; do
	[ -d "$folder" ] || continue
	mkdir -p "$root$folder"
	mount --rbind "$folder" "$root$folder"
done
# Not exec: as the first process of its namespace the shell reaps what others leave.
chroot "$root" sh -euc "cd \"\$1\"; shift; exec \"\$@\"" sh "$clone" "$@" && exit 0 || exit $?
' sh "$root" "$clone" "$goroot" "$@"
