#!/bin/sh
# Takes a picture of a terminal: what a command shows after some seconds, in an xterm on a display of its own.
#
#	docs/images/terminal.sh demo.png 62 110x26 bin/composerp demo --exit --fresh --dir "$(mktemp -d)"
#	docs/images/terminal.sh top.png 8 150x34 bin/composerp top
#	docs/images/terminal.sh worker-list.png 5 152x14 sh -c 'bin/composerp worker list; sleep 60'
#	docs/images/terminal.sh demo-summary.png 72 124x62 sh -c 'bin/composerp demo --exit --fresh --days 14; sleep 600'    # cut to the summary
#
# Needs Xvfb, xterm, ImageMagick and the DejaVu fonts:  apt-get install xvfb xterm imagemagick fonts-dejavu-core
set -eu
cd "$(dirname "$0")/../.."
picture=docs/images/$1 seconds=$2 size=$3
shift 3
Xvfb :78 -screen 0 1280x1100x24 2>/dev/null &
display=$!
sleep 2
DISPLAY=:78 xterm -fa 'DejaVu Sans Mono' -fs 10 -geometry "$size"+0+0 -b 12 -bg '#1c1f26' -fg '#d7dae0' -e "$@" &
terminal=$!
trap 'kill $terminal $display; sleep 5' EXIT
sleep "$seconds"
DISPLAY=:78 import -window root -silent png:- |
	convert - -trim -bordercolor "#1c1f26" -border 14 +dither -colors 16 -strip "$picture"
