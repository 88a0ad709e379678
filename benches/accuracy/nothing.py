"""How often the programs call in a clip in which nothing happens: events, and frames with motion.

nothing.py CLIP.avi --vedette BINARY
"""

import argparse
import json
import subprocess
import sys

import cv2

import score


def opencv(path, reduced):
    """Default MOG2 on frames as they come, so that a day need not fit into memory."""
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(path)
    fps, model = capture.get(cv2.CAP_PROP_FPS), cv2.createBackgroundSubtractorMOG2(detectShadows=False)
    flags = []
    while True:
        good, frame = capture.read()
        if not good:
            break
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        # The mean of 8x8 pixels is what the reduced decoder gives.
        small = cv2.resize(grey, (grey.shape[1] // reduced, grey.shape[0] // reduced), interpolation=cv2.INTER_AREA)
        mask = model.apply(small)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        flags.append(bool((stats[1:, 4] >= max(0.001 * mask.size, 3)).any()))
    return flags, score.events(flags, fps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("clip")
    parser.add_argument("--vedette", required=True)
    args = parser.parse_args()
    print("| | frames | with motion | events |\n|---|---|---|---|")
    child = subprocess.Popen([args.vedette, "analyze", "--json", args.clip], stdout=subprocess.PIPE, text=True)
    frames = motion = events = light = 0
    last = None
    for line in map(json.loads, child.stdout):
        if "summary" in line:
            events = line["summary"]["events"]
            continue
        frames += 1
        motion += line["motion"]
        light += line["light_change"]
        if line["event"] and line["event"] != last:
            last = line["event"]
            print(f"event at {line['t'] / 3600:.2f} h: {line['boxes']}", file=sys.stderr)
    if child.wait() != 0:
        raise SystemExit("vedette analyze failed")
    print(f"| Vedette | {frames} | {motion} | {events} |")
    print(f"(Vedette called {light} frames a change of light)", file=sys.stderr)
    flags, found = opencv(args.clip, score.BLOCK)
    print(f"| OpenCV 1/8 + MOG2 | {len(flags)} | {sum(flags)} | {len(found)} |")


if __name__ == "__main__":
    main()
