"""The programs that are compared, each with the settings it is swept over.

Each takes clips and gives, for each of its settings, the boxes of each frame of each clip.
"""

import concurrent.futures
import glob
import itertools
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import cv2
import numpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from frames import Camera, jpegs  # noqa: E402


def clip_frames(path):
    capture = cv2.VideoCapture(path)
    return jpegs(path, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))


# --- Vedette -----------------------------------------------------------------------------------------

VEDETTE_CONF = """
[device]
id = "accuracy"
[camera.clip.files]
path = "{clip}"
[camera.clip.motion]
{settings}
[destination.dir]
path = "{dir}/store"
"""
VEDETTE_SWEEP = [
    {"threshold": threshold, "min_area": area}
    for threshold in (3, 5, 7, 10, 14, 20, 30)
    for area in (0.0006, 0.001, 0.003)
]


def toml(settings):
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())


def vedette(binary, path, settings=None):
    """Boxes, and its own events, of `vedette analyze`; by its defaults where no settings are told."""
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "analyze", "--json", path]
        if settings is not None:
            conf = os.path.join(folder, "vedette.toml")
            with open(conf, "w") as file:
                file.write(VEDETTE_CONF.format(clip=os.path.abspath(path), dir=folder, settings=toml(settings)))
            command += ["--config", conf, "--camera", "clip"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    boxes, own, light = [], {}, []
    for line in map(json.loads, done.stdout.splitlines()):
        if "summary" in line:
            continue
        boxes.append(line["boxes"])
        light.append(line["light_change"])
        if line["event"] and line["motion"]:
            own.setdefault(line["event"], [line["t"], line["t"]])[1] = line["t"]
    return {"boxes": boxes, "events": list(own.values()), "light": light}


def run_vedette(binary, clips, full=True):
    """{settings' name: {clip: found}}, the default first."""
    wanted = {"default": None}
    for settings in VEDETTE_SWEEP if full else ():
        wanted[f"threshold {settings['threshold']}, min_area {settings['min_area']}"] = settings
    told = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, settings in wanted.items():
            paths = [c["path"] for c in clips]
            found = pool.map(vedette, itertools.repeat(binary), paths, itertools.repeat(settings))
            told[name] = dict(zip((c["clip"] for c in clips), found))
    return told


# --- OpenCV ------------------------------------------------------------------------------------------

OPENCV_VAR = (6, 10, 16, 25, 40, 65, 100, 160)
OPENCV_RATE = (-1, 0.003, 0.01)
# Smallest blob, as a share of the picture, beside that of Vedette's sweep.
OPENCV_AREA = (0.0006, 0.001, 0.002, 0.004)


def small(frames, reduced):
    read = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4}[reduced]
    return [cv2.imdecode(numpy.frombuffer(frame, numpy.uint8), read) for frame in frames]


def opencv(frames, reduced, variance, rate):
    """Blobs (x, y, w, h, share of the picture) of each frame, `reduced` by 8 or 4."""
    model = cv2.createBackgroundSubtractorMOG2(varThreshold=variance, detectShadows=False)
    found = []
    for frame in frames:
        mask = model.apply(frame, learningRate=rate)
        if reduced == 4:
            # What everybody does at this size: specks away, holes closed.
            mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, numpy.ones((3, 3), numpy.uint8))
            mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, numpy.ones((5, 5), numpy.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        found.append([[*(int(v) * reduced for v in s[:4]), int(s[4]) / mask.size] for s in stats[1:count]])
    return found


def run_opencv(clips, reduced):
    """Its default: MOG2's own threshold (16) and rate, blobs from Vedette's default share on."""
    cv2.setNumThreads(1)
    told = {}
    sweep = itertools.product(OPENCV_VAR, OPENCV_RATE if reduced == 8 else OPENCV_RATE[:2])
    frames = {c["clip"]: small(clip_frames(c["path"]), reduced) for c in clips}
    for variance, rate in sweep:
        raw = {name: opencv(f, reduced, variance, rate) for name, f in frames.items()}
        for area in OPENCV_AREA:
            name = f"varThreshold {variance}, rate {rate}, area {area}"
            if (variance, rate, area) == (16, -1, 0.001):
                name = "default"
            least = max(area, 2.5 * 64 / (640 * 480))
            told[name] = {
                clip: {"boxes": [[b[:4] for b in frame if b[4] >= least] for frame in found]}
                for clip, found in raw.items()
            }
    return told


# --- motion ------------------------------------------------------------------------------------------

# Pictures only to learn of each frame what it saw: changed pixels (%D), its box (%K %L %i %J).
MOTION_CONF = """
daemon off
setup_mode off
log_level 6
log_file {dir}/motion.log
target_dir {dir}
netcam_url http://127.0.0.1:{port}/camera
netcam_keepalive off
width {width}
height {height}
framerate {fps}
threshold {threshold}
noise_tune {tune}
despeckle_filter EedDl
minimum_motion_frames 1
event_gap 5
pre_capture 0
post_capture 0
picture_output on
picture_output_motion on
picture_quality 90
picture_filename p-%s-%q-%D-%K-%L-%i-%J
movie_output off
snapshot_interval 0
text_left
text_right
stream_port 0
webcontrol_port 0
"""
# (noise_tune, threshold it ran with, thresholds by which its frames are judged). Without tuning, the threshold
# has no part in what motion learns: one run serves all.
MOTION_RUNS = [
    ("on", 1500, (1500,)),
    ("off", 100, (100, 200, 400, 700, 1500, 3000, 6000, 12000)),
    ("on", 300, (300, 600)),
    ("on", 4000, (4000, 8000)),
]
NAMED = re.compile(r"p-(\d+)-(\d+)-(\d+)-(-?\d+)-(-?\d+)-(\d+)-(\d+)m?\.jpg$")


class Motion:
    """One motion at one clip, in the clip's own time."""

    def __init__(self, clip, tune, threshold):
        self.clip, self.folder = clip, tempfile.TemporaryDirectory(dir="/dev/shm")
        self.frames = clip_frames(clip["path"])
        # It starts from a picture of its own and takes some ten seconds to forget it. That is not held
        # against it: first it sees the warm-up twice more.
        self.before = 2 * int(clip["warm"] * clip["fps"])
        self.camera = Camera(self.frames[: self.before // 2] * 2 + self.frames, clip["fps"])
        conf = os.path.join(self.folder.name, "motion.conf")
        width, height = clip["size"]
        with open(conf, "w") as file:
            file.write(MOTION_CONF.format(
                dir=self.folder.name, port=self.camera.port, width=width, height=height, fps=clip["fps"],
                threshold=threshold, tune=tune,
            ))  # fmt: skip
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.child = subprocess.Popen(["motion", "-n", "-c", conf], **quiet)
        self.until = time.monotonic() + 60 + len(self.camera.frames) / clip["fps"]

    def ended(self):
        return self.camera.done.is_set() or time.monotonic() > self.until

    def stop(self):
        """Ends it; what to give to `motion_saw`."""
        served = self.camera.done.is_set()
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)
        if not served:
            with open(os.path.join(self.folder.name, "motion.log")) as file:
                raise SystemExit(f"motion took {self.camera.sent} of {len(self.frames)}: {file.read()[-1500:]}")
        return self.folder.name, self.clip, self.before, self.camera.began


def motion_saw(folder, clip, before, began):
    """Per frame of a clip: (changed pixels, boxes), from the pictures that motion saved."""
    cv2.setNumThreads(1)
    frames = [f.astype(numpy.int16) for f in small(clip_frames(clip["path"]), 8)]
    told = [(0, [])] * len(frames)
    for path in sorted(p for p in glob.glob(folder + "/p-*.jpg") if not p.endswith("m.jpg")):
        second, shot, changed, cx, cy, w, h = (int(v) for v in NAMED.search(path).groups())
        # The frame that it saved is the one with the same noise, near the time at which it was served.
        about = int((second - began) * clip["fps"]) + shot - before
        near = range(max(about - 12, 0), min(about + 13, len(frames)))
        if not near:
            continue
        saved = cv2.imread(path, cv2.IMREAD_REDUCED_GRAYSCALE_8).astype(numpy.int16)
        n = min(near, key=lambda n: int(numpy.abs(frames[n] - saved).sum()))
        if changed >= told[n][0]:
            told[n] = (changed, blobs(path[:-4] + "m.jpg") or [[cx - w // 2, cy - h // 2, w, h]])
    return told


def blobs(path):
    """What motion marked in its own picture of motion, as boxes of blobs of its pixels: those that changed,
    in their own grey, and its largest area in blue, however dark."""
    picture = cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_2)
    if picture is None:
        return []
    mask = cv2.morphologyEx((picture.max(axis=2) > 16).astype(numpy.uint8), cv2.MORPH_CLOSE, numpy.ones((5, 5), numpy.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return [[2 * int(v) for v in s[:4]] for s in stats[1:count] if s[4] >= 15]


def run_motion(clips, at_once=16, runs=MOTION_RUNS):
    """{settings' name: {clip: found}}"""
    told = {}
    for tune, threshold, judged in runs:
        waiting, going, seen = list(clips), [], {}
        with concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            ended = []
            while waiting or going:
                while waiting and len(going) < at_once:
                    going.append(Motion(waiting.pop(0), tune, threshold))
                    time.sleep(0.1)
                time.sleep(0.2)
                for run in [r for r in going if r.ended()]:
                    going.remove(run)
                    ended.append((run, pool.submit(motion_saw, *run.stop())))
            for run, saw in ended:
                seen[run.clip["clip"]] = saw.result()
                run.folder.cleanup()
        for limit in judged:
            name = "default" if (tune, limit) == ("on", 1500) else f"noise_tune {tune}, threshold {limit}"
            told[name] = {
                clip: {"boxes": [boxes if changed > limit else [] for changed, boxes in frames]}
                for clip, frames in seen.items()
            }
    return told
