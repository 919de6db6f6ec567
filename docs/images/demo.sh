#!/bin/sh
# Takes docs/images/demo.png: the live screen of `make demo` after a minute, in an xterm on a display of its own.
# Needs Xvfb, xterm, ImageMagick and the DejaVu fonts:  apt-get install xvfb xterm imagemagick fonts-dejavu-core
set -eu
cd "$(dirname "$0")/../.."
data=$(mktemp -d)
Xvfb :78 -screen 0 1000x520x24 2>/dev/null &
display=$!
sleep 2
DISPLAY=:78 xterm -fa 'DejaVu Sans Mono' -fs 10 -geometry 110x26+0+0 -b 12 -bg '#1c1f26' -fg '#d7dae0' \
	-e bin/composerp demo --exit --fresh --dir "$data" &
terminal=$!
trap 'kill $terminal $display; sleep 5; rm -rf "$data"' EXIT
sleep 62
DISPLAY=:78 import -window root -silent png:- |
	convert - -trim -bordercolor "#1c1f26" -border 14 -colors 32 -depth 8 -strip docs/images/demo.png
