"""A day of an empty scene with much noise, fast: dawn, day, dusk and a night in infrared light.

empty_day.py OUT.avi [--hours 24] [--fps 1] [--size 320x240]

86,400 frames at one a second, of the size that is told, each a JPEG with noise of its own. Light follows
the hour; exposure follows light; noise follows exposure. The infrared filter moves twice. What a frame
costs is kept low: noise is drawn from fields made beforehand, each time shifted and turned.
"""

import argparse
import math
import os

import cv2
import numpy

import avi
import photos
import scene

FIELDS = 24


def daylight(hour):
    """Light from 0.004 at night to 1 at noon."""
    height = math.sin((hour - 6) / 12 * math.pi)
    return 0.004 + 0.996 / (1 + math.exp(-12 * (height - 0.15)))


def frames(plate, hours, fps, seed):
    rng = numpy.random.default_rng(seed)
    height, width = plate.shape[:2]
    ground = photos.linear(plate)
    grey = numpy.repeat((ground @ scene.INFRARED)[..., None], 3, axis=2)
    ys, xs = numpy.mgrid[0:height, 0:width].astype(numpy.float32)
    ring = 0.16 + 0.84 * numpy.exp(-(((xs / width - 0.5) / 0.47) ** 2 + ((ys / height - 0.6) / 0.48) ** 2))
    fields = []
    for _ in range(FIELDS):
        field = cv2.GaussianBlur(rng.standard_normal((height + 64, width + 64, 3), numpy.float32), (0, 0), 0.55)
        fields.append(field / field.std())
    gain, infrared, clouds = None, True, 0.0
    signal = spread = told = None
    for n in range(int(hours * 3600 * fps)):
        # Clouds change the light a little, from minute to minute.
        clouds = clouds * 0.999 + rng.normal(0, 0.004)
        light = daylight(n / fps / 3600 % 24) * (1 + max(min(clouds, 0.3), -0.3))
        # The filter moves at dusk and dawn, with hysteresis as cameras have it.
        infrared = light < (0.08 if infrared else 0.04)
        wanted = min(max(0.2 / (0.5 * light + (0.12 if infrared else 0)) * 0.35, 0.4), 8.0)
        gain = wanted if gain is None else gain * (wanted / gain) ** (0.4 / fps)
        # What a frame is without noise changes slowly: it is made anew when it differs by a third of a level.
        now = (infrared, gain * light)
        if told is None or told[0] != now[0] or abs(math.log(now[1] / told[1])) > 0.003:
            told = now
            there = grey * (light * 0.5 + 0.5 * ring[..., None]) if infrared else ground * light
            signal = numpy.clip(there * gain, 0, 1)
            iso = 1.5 * gain**0.5 * (2.0 if infrared else 1.0)
            spread = numpy.sqrt(signal * (0.00035 * iso) + (0.0022 * iso) ** 2)
        field = fields[rng.integers(FIELDS)]
        x, y = rng.integers(0, 64, 2)
        noise = field[y : y + height, x : x + width][:, :: 1 if rng.random() < 0.5 else -1]
        if infrared:
            noise = noise[..., :1]
        seen = signal + spread * (noise if rng.random() < 0.5 else -noise)
        yield scene.jpeg(scene.encode(seen).astype(numpy.uint8), 80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out")
    parser.add_argument("--plate", default="lane")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--fps", type=int, default=1)
    parser.add_argument("--size", default="320x240")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    size = tuple(int(v) for v in args.size.split("x"))
    plate = cv2.resize(photos.load().plates[args.plate], size, interpolation=cv2.INTER_AREA)
    count, total = avi.write(args.out + ".new", frames(plate, args.hours, args.fps, 24), size, args.fps)
    os.replace(args.out + ".new", args.out)
    print(f"{args.out}: {count} frames of {args.size}, {total / count / 1000:.1f} kB each")


if __name__ == "__main__":
    main()
