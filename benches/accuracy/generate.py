"""Makes the clips: MJPEG AVI and, beside each, what was truly there as JSON.

generate.py OUT [NAME ...]
"""

import argparse
import hashlib
import json
import multiprocessing
import os

import cv2
import numpy

import avi
import clips
import photos
import scene

BLOCK = 8
GRID = (scene.WIDTH // BLOCK, scene.HEIGHT // BLOCK)
# Share of a block that a thing must cover to be in it, and the levels by which it must differ from what is
# behind it to be seen at all.
COVERED, VISIBLE = 0.25, 4.0
# Motion with pauses up to this is one event, as with Vedette's `post_event`.
PAUSE = 5.0


def by_block(plane):
    return plane.reshape(GRID[1], BLOCK, GRID[0], BLOCK).mean(axis=(1, 3))


def indices(blocks):
    return numpy.flatnonzero(blocks).tolist()


def truth(things, shade, contrast):
    """Boxes and blocks of what moves in a frame, and blocks about which nothing is claimed."""
    boxes, seen = [], numpy.zeros(GRID[::-1], bool)
    unsure = numpy.zeros(GRID[::-1], bool) if shade is None else by_block(shade) > 0.08
    for thing in things:
        mask = (thing.alpha > 0.4).astype(numpy.uint8)
        cover = by_block(mask.astype(numpy.float32))
        if not mask.any():
            continue
        blocks = cover >= COVERED
        visible = blocks.any() and contrast[blocks].mean() >= VISIBLE
        if thing.moves and visible:
            boxes.append(list(cv2.boundingRect(mask)))
            seen |= blocks
        unsure |= cover > 0
    return boxes, seen, unsure & ~seen


def render(clip, material):
    """Frames of a clip in 8 bits BGR, each with its truth."""
    rng = numpy.random.default_rng(clip.seed)
    stage, sky = scene.Stage(clip, material, rng), scene.Sky(clip, rng)
    weather, sensor = scene.Weather(clip, rng, clip.fps), scene.Sensor(clip, rng)
    for n in range(clip.seconds * clip.fps):
        t = n / clip.fps
        there, bare, things, shade = stage.see(t)
        light, infrared = sky.shine(t)
        seen = there * light[..., None]
        glow = sky.glow(t)
        if glow is not None:
            seen = seen + glow
        gain = sensor.expose(seen, t)
        contrast = numpy.zeros(GRID[::-1])
        if things:
            small = [cv2.resize(x, GRID, interpolation=cv2.INTER_AREA) for x in (there, bare, light)]
            grey = [scene.encode(x * small[2][..., None] * gain) @ scene.GREY for x in small[:2]]
            contrast = numpy.abs(grey[0] - grey[1])
        falling = weather.fall(t)
        if falling is not None:
            strength = 0.5 if infrared else float(light.mean())
            seen = seen * (1 - 0.5 * falling[..., None]) + (falling * strength)[..., None]
        if clip.shake:
            x, y = sensor.shake()
            move = numpy.array([[1, 0, x], [0, 1, y]], numpy.float32)
            seen = cv2.warpAffine(seen, move, photos.SIZE, borderMode=cv2.BORDER_REFLECT)
        yield sensor.take(seen, gain, infrared, t), truth(things, shade, contrast)


def intervals(flags, fps):
    """Times [from, to] of flagged frames, with pauses bridged."""
    found = []
    for n, flag in enumerate(flags):
        if flag and found and (n - found[-1][1]) / fps <= PAUSE:
            found[-1][1] = n
        elif flag:
            found.append([n, n])
    return [[a / fps, b / fps] for a, b in found]


def make(clip, material, out):
    digest, frames, told = hashlib.sha256(), [], []
    for n, (frame, (boxes, seen, unsure)) in enumerate(render(clip, material)):
        digest.update(frame.tobytes())
        frames.append(scene.jpeg(frame, clip.quality))
        told.append({"n": n, "boxes": boxes, "blocks": indices(seen), "unsure": indices(unsure)})
    path = os.path.join(out, clip.name)
    avi.write(path + ".avi.new", frames, photos.SIZE, clip.fps)
    os.replace(path + ".avi.new", path + ".avi")
    about = {
        "clip": clip.name, "group": clip.group, "shows": clip.shows, "size": photos.SIZE, "grid": GRID,
        "fps": clip.fps, "warm": clip.warm, "digest": digest.hexdigest(),
        "events": intervals([f["boxes"] != [] for f in told], clip.fps),
        "maybe": intervals([f["unsure"] != [] for f in told], clip.fps),
        "frames": [f for f in told if f["boxes"] or f["unsure"]],
    }  # fmt: skip
    with open(path + ".json.new", "w") as file:
        json.dump(about, file)
    os.replace(path + ".json.new", path + ".json")
    return f"{clip.name}: {len(frames)} frames, {sum(map(len, frames)) // len(frames) // 1000} kB, events {about['events']}"


def job(task):
    name, out = task
    cv2.setNumThreads(1)
    return make(next(c for c in clips.ALL if c.name == name), photos.load(), out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", help="directory for the clips")
    parser.add_argument("names", nargs="*", help="clips, or beginnings of their names (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0, help="other noise, weather, wind and clouds (default: those of docs/accuracy.md)")
    parser.add_argument("--new", action="store_true", help="only those that are not there yet")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    clips.SEED = args.seed
    wanted = [c.name for c in clips.ALL if not args.names or c.name.startswith(tuple(args.names))]
    if args.new:
        wanted = [n for n in wanted if not os.path.exists(os.path.join(args.out, n + ".json"))]
    photos.load()
    with multiprocessing.Pool(args.jobs) as pool:
        for said in pool.imap(job, [(n, args.out) for n in wanted], 1):
            print(said, flush=True)


if __name__ == "__main__":
    main()
