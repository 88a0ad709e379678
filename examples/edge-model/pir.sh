#!/bin/sh
# A picture each time a PIR sensor on a GPIO line sees warmth move: pir.sh [CHIP] [LINE] [CAMERA].
# `gpiomon` is of the package gpiod, version 2; for version 1: gpiomon --rising-edge "$chip" "$line".
chip=${1:-gpiochip0} line=${2:-17} camera=${3:-}

stdbuf -oL gpiomon --edges=rising --chip="$chip" "$line" | while read -r _; do
  vedette trigger ${camera:+--camera "$camera"} --label warmth --meta sensor=pir
done
