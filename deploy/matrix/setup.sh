#!/bin/sh
# Sets up a Debian suite with its PostgreSQL and RabbitMQ in a folder: setup.sh trixie. What stands is used as it is, for ever:
# delete the folder for newer packages. Exits with 75 where it cannot be had on this machine or now, after one line that says why.
set -eu
suite=$1
packages="postgresql rabbitmq-server pgbouncer prometheus prometheus-alertmanager git make procps ca-certificates"
folder=${MATRIX:-$(dirname "$0")/../../.matrix}
cannot() { echo "matrix: NOT RUN on $suite: $1" >&2; exit 75; }

[ "$(id -u)" = 0 ] || cannot "it is set up by root alone: run as root"
# Mounts are made in a namespace of their own, and go with it, however this ends.
unshare --mount --propagation private true 2>/dev/null || cannot "this machine lets root mount nothing (CAP_SYS_ADMIN)"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
exec 9>"$folder/lock"
flock 9
[ "$(cat "$folder/$suite/packages" 2>/dev/null)" != "$packages" ] || exit 0

command -v apt-get >/dev/null || cannot "it takes Debian's packages, and this machine has no apt-get"
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1; }
[ -n "$(mirror)" ] || apt-get update -qq >&2 || true
[ -n "$(mirror)" ] || cannot "apt knows no mirror of Debian, or reaches none: see apt-get update"
/usr/lib/apt/apt-helper -qq download-file "$(mirror)dists/$suite/InRelease" "$folder/$suite.release" >/dev/null 2>&1 ||
	cannot "the mirror of Debian that apt names cannot be reached, or has no $suite"
rm "$folder/$suite.release"
export DEBIAN_FRONTEND=noninteractive
command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >&2 ||
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } >&2

echo "matrix: setting up $suite in $folder/$suite (minutes)" >&2
if ! unshare --mount --propagation private sh -eus "$suite" "$folder/$suite.new" "$(mirror)" "$packages" >"$folder/$suite.log" 2>&1 <<'EOS'
suite=$1 root=$2 mirror=$3 packages=$4
rm -rf "$root"
debootstrap --variant=minbase "$suite" "$root" "$mirror"
# No service starts when it is installed, and PostgreSQL makes no cluster.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
printf 'path-exclude=/usr/share/%s/*\n' doc man locale >"$root/etc/dpkg/dpkg.cfg.d/matrix"
mkdir -p "$root/etc/postgresql-common"
echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
# A mirror may be a picture of some day: its lists are as good as on that day.
echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99matrix"
cp /etc/apt/apt.conf.d/*proxy* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
chroot "$root" apt-get update -qq
chroot "$root" apt-get install -y -qq --no-install-recommends $packages
chroot "$root" apt-get clean
rm -rf "$root/usr/share/doc"/* "$root/usr/share/man"/*
EOS
then
	echo "matrix: setting up $suite failed: $(grep -E '^(E:|W: F|debootstrap:)' "$folder/$suite.log" | tail -n 1): see $folder/$suite.log" >&2
	exit 1
fi
echo "$packages" >"$folder/$suite.new/packages"
rm -rf "${folder:?}/$suite"
mv "$folder/$suite.new" "$folder/$suite"
