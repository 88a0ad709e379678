#!/usr/bin/env python3
"""Looks for people in a video and has Vedette take a picture of them.

The model is OpenCV's HOG person detector: nothing is downloaded, and any processor runs it. Put your
own in its place: whatever gives boxes can trigger.

    detect.py clip.avi                          a recording, at its own speed
    detect.py /dev/video2                       a camera
    detect.py http://127.0.0.1:8081/stream.mjpg a stream
"""

import argparse
import json
import os
import socket
import sys
import time

import cv2

MAX_BOXES = 6  # what a trigger may carry


class NotTaken(Exception):
    """Vedette took no picture; the text says why."""


def trigger(path, **said):
    """Asks for a picture and returns when it is safe on the device's disk.

    The whole protocol: one line of JSON there, one line of JSON back, and `len` bytes behind it.
    """
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(20)  # the agent answers within 15 s
        agent.connect(path)
        agent.sendall(json.dumps({"op": "trigger", **said}).encode() + b"\n")
        with agent.makefile("rb") as answer:
            head = json.loads(answer.readline() or b'{"ok": false, "error": "no answer"}')
            if not head["ok"]:
                raise NotTaken(head.get("error"))
            return json.loads(answer.read(head["len"]))


class People:
    """OpenCV's HOG detector, with boxes in 0..1 of the frame, the surest first."""

    def __init__(self, width):
        self.width = width
        self.hog = cv2.HOGDescriptor()
        self.hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def find(self, frame, least):
        scale = self.width / frame.shape[1]
        sized = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        boxes, scores = self.hog.detectMultiScale(sized, winStride=(8, 8), scale=1.08)
        height, width = sized.shape[:2]
        found = [
            (float(score), share(x, w, width), share(y, h, height))
            for (x, y, w, h), score in zip(boxes, scores)
            if score >= least
        ]
        found.sort(reverse=True)
        return [(score, [x, y, w, h]) for score, (x, w), (y, h) in found]


def share(start, length, whole):
    """Start and length as shares of the whole, inside it."""
    first = min(max(start / whole, 0.0), 0.999)
    last = min(max((start + length) / whole, first + 0.001), 1.0)
    return round(first, 4), round(last - first, 4)


def frames(source, fps):
    """The newest frame, `fps` times a second: what comes in between is dropped, not queued."""
    live = not os.path.isfile(source)
    video = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not video.isOpened():
        sys.exit(f"detect.py: cannot open {source}; a camera can be open in one program only")
    pause = 0 if live else 1 / (video.get(cv2.CAP_PROP_FPS) or 25)
    due = arrival = time.monotonic()
    while video.grab():
        arrival += pause
        time.sleep(max(0.0, arrival - time.monotonic()) if pause else 0)
        if time.monotonic() >= due:
            whole, frame = video.retrieve()
            if whole:
                yield frame
            due = time.monotonic() + 1 / fps


def arguments():
    parser = argparse.ArgumentParser(description="Trigger Vedette when people are seen.")
    parser.add_argument("source", help="video file, V4L2 device or URL")
    parser.add_argument("--camera", help="name of Vedette's camera that sees the same")
    parser.add_argument("--socket", default="/run/vedette/trigger.sock")
    parser.add_argument("--fps", type=float, default=2, help="looks a second (default 2)")
    parser.add_argument("--every", type=float, default=5, help="least seconds between two triggers")
    parser.add_argument("--score", type=float, default=0.7, help="least score of a person")
    parser.add_argument("--width", type=int, default=800, help="frames are scaled to this width first")
    return parser.parse_args()


def main():
    args = arguments()
    os.nice(10)  # the camera's own work comes first
    cv2.setNumThreads(1)
    people = People(args.width)
    quiet_until = 0.0
    for frame in frames(args.source, args.fps):
        if time.monotonic() < quiet_until:
            continue
        found = people.find(frame, args.score)
        if not found:
            continue
        said = {
            "label": "person",
            "boxes": [box for _, box in found[:MAX_BOXES]],
            "meta": {"model": "opencv-hog", "score": f"{found[0][0]:.2f}", "count": str(len(found))},
        }
        if args.camera:
            said["camera"] = args.camera
        try:
            taken = trigger(args.socket, **said)
            print(f"{len(found)} seen, kept a picture of camera {taken['camera']}", flush=True)
        except PermissionError:
            sys.exit(f"detect.py: {args.socket}: join its group: usermod -aG vedette-trigger USER")
        except (NotTaken, OSError) as error:
            print(f"detect.py: no picture: {error}", file=sys.stderr, flush=True)
        quiet_until = time.monotonic() + args.every


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
