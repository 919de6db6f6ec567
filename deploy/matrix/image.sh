#!/bin/sh
# Runs the steps of deploy/Dockerfile in folders, for machines without a container engine (Debian, as root), and then the
# image's entry point as compose.yaml runs it: another user, a root that is read-only, no capabilities. What stands in for
# the base images: Debian's trixie with this machine's Go for golang; for alpine busybox, which Alpine's commands are. Debian's
# busybox lacks adduser and install: a line for each does what Alpine's would.
set -eu
cd "$(dirname "$0")/../.."
clone=$(pwd)
if [ "${1-}" != --inside ]; then
	deploy/matrix/setup.sh trixie
	command -v busybox >/dev/null || apt-get install -y -qq --no-install-recommends busybox-static >&2
	exec go run ./deploy/local/withservers -- unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" --inside
fi

work=$(mktemp -d)
chmod 755 "$work"
mount -t tmpfs tmpfs "$work" # goes with the namespace
modules=$(go env GOMODCACHE) cache=$(go env GOCACHE) proxy=$(go env GOPROXY)
golang() {
	mkdir -p "$root" "$work/upper" "$work/changes"
	mount -t overlay -o "lowerdir=$clone/.matrix/trixie,upperdir=$work/upper,workdir=$work/changes" overlay "$root"
	mkdir -p "$root/usr/local/go" "$root/go/pkg/mod" "$root/root/.cache/go-build"
	mount --bind "$(go env GOROOT)" "$root/usr/local/go"
	mount --bind "$modules" "$root/go/pkg/mod"
	mount --bind "$cache" "$root/root/.cache/go-build"
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	environment="PATH=/usr/local/go/bin:/usr/sbin:/usr/bin GOPATH=/go GOCACHE=/root/.cache/go-build GOFLAGS=-modcacherw GOTOOLCHAIN=local GOPROXY=$proxy HOME=/root"
}
alpine() {
	for folder in bin sbin usr/bin usr/sbin usr/local/bin etc/ssl dev proc tmp home var/lib; do mkdir -p "$root/$folder"; done
	cp "$(command -v busybox)" "$root/bin/busybox"
	chroot "$root" /bin/busybox --install
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\n' >"$root/etc/group"
	cat >"$root/usr/sbin/adduser" <<'EOS'
#!/bin/sh
[ "$1 $2 $3" = "-D -H -u" ] && echo "$5:x:$4:$4::/home/$5:/sbin/nologin" >>/etc/passwd && echo "$5:x:$4:" >>/etc/group
EOS
	cat >"$root/usr/sbin/install" <<'EOS'
#!/bin/sh
[ "$1 $2 $4" = "-d -o -g" ] && owner=$3:$5 && shift 5 && mkdir -p "$@" && chown "$owner" "$@"
EOS
	chmod 755 "$root/usr/sbin/adduser" "$root/usr/sbin/install"
	cp -rL /etc/ssl/certs "$root/etc/ssl/certs"
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	environment="PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}
copy() { # from, what..., to: "." and names alone are all that deploy/Dockerfile copies
	from=$1
	shift
	for to in "$@"; do :; done
	case $to in /*) to=$root$to ;; *) to=$root$folder/$to ;; esac
	mkdir -p "$(dirname "$to")"
	while [ $# -gt 1 ]; do
		cp -a "$from/$1" "$to"
		shift
	done
}

mkdir "$work/context"
git ls-files --cached --others --exclude-standard | tar -c -T - | tar -x -C "$work/context"
# Each instruction on a line of its own, without comments and cache mounts.
sed -E -e ':a' -e '/\\$/{N;s/\\\n//;ba' -e '}' deploy/Dockerfile | sed -E -e '/^#/d' -e 's/--mount=[^ ]+ //g' -e '/^$/d' >"$work/steps"
stages=0 folder=/ user=
while read -r instruction rest <&3; do
	echo "image: $instruction $rest" >&2
	case $instruction in
	FROM)
		stages=$((stages + 1)) folder=/ root=$work/$((stages))
		name=${rest%%:*}
		"$name"
		;;
	WORKDIR)
		folder=$rest
		mkdir -p "$root$folder"
		;;
	COPY)
		case $rest in
		--from=build\ *) copy "$work/1" ${rest#--from=build } ;;
		*) copy "$work/context" $rest ;;
		esac
		;;
	ARG) export "${rest?}" ;;
	RUN) env -i $environment VERSION="${VERSION-}" chroot "$root" /bin/sh -euc "cd $folder; $rest" ;;
	USER) user=$rest ;;
	ENTRYPOINT | CMD) ;;
	*) echo "image: this script does not know $instruction" >&2; exit 1 ;;
	esac
done 3<"$work/steps"

# As compose.yaml: read-only, /tmp and the volumes aside; setup as the administrator, and the fleet with what it wrote.
mount --rbind "$root" "$root"
for volume in var/lib/composerp etc/composerp/setup etc/composerp/fleet; do mount --bind "$root/$volume" "$root/$volume"; done
mount -t tmpfs tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
administrator="COMPOSERP_DATABASE_URL=$COMPOSERP_TEST_SUPERUSER_URL COMPOSERP_AMQP_URL=$COMPOSERP_TEST_AMQP_URL COMPOSERP_MANAGEMENT_URL=$COMPOSERP_TEST_MANAGEMENT_URL"
fleet="COMPOSERP_SECRETS=/etc/composerp/fleet/fleet.secrets COMPOSERP_PAGE_TOKEN_FILE=/etc/composerp/fleet/page.token COMPOSERP_METRICS_ADDR=0.0.0.0:0"
enter() { # settings, command...
	settings=$1
	shift
	exec env -i $environment $settings setpriv --no-new-privs --bounding-set=-all,+setuid,+setgid,+sys_chroot \
		chroot --userspec="$user" --groups= "$root" /bin/sh -c 'cd /var/lib/composerp; touch /not-here 2>/dev/null && exit 70; exec "$@"' sh "$@"
}
composerp() { (enter "$fleet" composerp "$@"); }
(enter "$administrator" sh /usr/local/bin/composerp-setup /etc/composerp)
(enter "$administrator" sh /usr/local/bin/composerp-setup /etc/composerp) # a second start
enter "$fleet" composerp up >"$work/up.log" 2>&1 &
up=$!
tries=0
until port=$(sed -n 's/^ *metrics .*:\([0-9]*\)\/metrics$/\1/p' "$work/up.log") && [ -n "$port" ] &&
	chroot "$root" wget --quiet --output-document=/dev/null "http://127.0.0.1:$port/metrics"; do
	tries=$((tries + 1))
	[ "$tries" -lt 60 ] && kill -0 "$up" || { echo "image: the health check never passed" >&2; cat "$work/up.log" >&2; exit 1; }
	sleep 1
done
composerp publish SALE_COMPLETED --data '{"saleId":"S1","itemId":"CUP","locationId":"SHOP","quantity":2,"amount":3,"timestamp":"2026-03-01T12:00:00Z"}'
composerp audit
kill -TERM "$up"
wait "$up"
echo "image: every step of deploy/Dockerfile and the entry point ran in folders"
