"""OpenCV as the smartest peer would use it: JPEG read at 1/8 scale in grey, then MOG2.

opencv.py CLIP FRAMES  -> CPU milliseconds per frame, start-up and reading the file not counted.
"""

import sys
import time

import cv2
import numpy

from frames import jpegs

cv2.setNumThreads(1)
frames = [numpy.frombuffer(frame, numpy.uint8) for frame in jpegs(sys.argv[1], int(sys.argv[2]))]
background = cv2.createBackgroundSubtractorMOG2(detectShadows=False)
moving = 0
start = time.process_time()
for frame in frames:
    grey = cv2.imdecode(frame, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    moving += cv2.countNonZero(background.apply(grey)) > grey.size // 500
cpu = time.process_time() - start
print(f"{cpu * 1000 / len(frames):.4f} {cv2.__version__} {moving}")
