"""A contact sheet of clips, with what is truly there drawn on: for people who judge them.

sheet.py OUT.png CLIP.avi SECOND [SECOND ...] [CLIP.avi ...]
"""

import json
import os
import sys

import cv2
import numpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from frames import jpegs  # noqa: E402


def main():
    out, cells, frames, about, name = sys.argv[1], [], [], {}, ""
    for word in sys.argv[2:]:
        if word.endswith(".avi"):
            name = os.path.basename(word)[:-4]
            with open(word[:-4] + ".json") as file:
                about = json.load(file)
            capture = cv2.VideoCapture(word)
            frames = jpegs(word, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            continue
        n = int(float(word) * about["fps"])
        frame = cv2.imdecode(numpy.frombuffer(frames[n], numpy.uint8), cv2.IMREAD_COLOR)
        there = next((f for f in about["frames"] if f["n"] == n), {"boxes": []})
        for x, y, w, h in there["boxes"]:
            cv2.rectangle(frame, (x - 2, y - 2), (x + w + 2, y + h + 2), (0, 255, 255), 1)
        cv2.putText(frame, f"{name} {word} s", (6, 474), 0, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(frame)
    across = 3
    cells += [numpy.zeros_like(cells[0])] * (-len(cells) % across)
    rows = [numpy.hstack(cells[i : i + across]) for i in range(0, len(cells), across)]
    cv2.imwrite(out, numpy.vstack(rows))


if __name__ == "__main__":
    main()
