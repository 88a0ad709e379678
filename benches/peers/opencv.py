"""OpenCV as the smartest peer would use it: JPEG read at 1/8 scale in grey, or the luma of YUYV averaged to 1/8; then MOG2.

opencv.py CLIP FRAMES [WIDTHxHEIGHT]  -> CPU milliseconds per frame, start-up and reading the file not counted.

With a size the clip is raw YUYV.
"""

import sys
import time

import cv2
import numpy

from frames import jpegs, raw

cv2.setNumThreads(1)
path, count = sys.argv[1], int(sys.argv[2])
if len(sys.argv) > 3:
    width, height = map(int, sys.argv[3].split("x"))
    frames = [
        numpy.frombuffer(frame, numpy.uint8).reshape(height, width, 2)
        for frame in raw(path, count, 2 * width * height)
    ]

    def small(frame):
        grey = cv2.extractChannel(frame, 0)
        return cv2.resize(grey, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
else:
    frames = [numpy.frombuffer(frame, numpy.uint8) for frame in jpegs(path, count)]

    def small(frame):
        return cv2.imdecode(frame, cv2.IMREAD_REDUCED_GRAYSCALE_8)


background = cv2.createBackgroundSubtractorMOG2(detectShadows=False)
moving = 0
start = time.process_time()
for frame in frames:
    grey = small(frame)
    moving += cv2.countNonZero(background.apply(grey)) > grey.size // 500
cpu = time.process_time() - start
print(f"{cpu * 1000 / len(frames):.4f} {cv2.__version__} {moving}")
