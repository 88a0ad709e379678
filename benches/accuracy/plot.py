"""Precision-recall curves as small pictures, drawn by hand: no plotting library is needed for four lines."""

import cv2
import numpy

import score

# Colours in BGR, told apart by the colour-blind as well.
COLOURS = {
    "Vedette": (178, 114, 0),
    "motion 4.5": (0, 94, 213),
    "OpenCV 1/8 + MOG2": (115, 158, 0),
    "OpenCV 1/4 + MOG2": (167, 121, 204),
}
SIDE, LEFT, TOP, GAP = 210, 34, 26, 40
INK, FAINT = (60, 60, 60), (225, 225, 225)


def spot(recall, precision):
    return LEFT + round(recall * SIDE), TOP + round((1 - precision) * SIDE)


def text(cell, words, at, size=0.36, colour=INK):
    cv2.putText(cell, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def panel(title, curves):
    """One diagram. `curves`: {program: {settings: (recall, precision, f1)}}; a ring marks the default."""
    cell = numpy.full((TOP + SIDE + GAP, LEFT + SIDE + 16, 3), 255, numpy.uint8)
    for part in (0, 0.25, 0.5, 0.75, 1):
        cv2.line(cell, spot(part, 0), spot(part, 1), FAINT, 1)
        cv2.line(cell, spot(0, part), spot(1, part), FAINT, 1)
    for part in (0, 0.5, 1):
        text(cell, f"{part:g}", (spot(part, 0)[0] - 4, TOP + SIDE + 14), 0.32)
        text(cell, f"{part:g}", (8, spot(0, part)[1] + 4), 0.32)
    text(cell, title, (LEFT, 16), 0.42)
    text(cell, "recall", (LEFT + SIDE // 2 - 16, TOP + SIDE + 28), 0.34)
    for program, told in reversed(curves.items()):
        colour = COLOURS[program]
        line = score.envelope([p[:2] for p in told.values()])
        for a, b in zip(line, line[1:]):
            cv2.line(cell, spot(*a), spot(*b), colour, 2, cv2.LINE_AA)
        for point in line:
            cv2.circle(cell, spot(*point), 2, colour, -1, cv2.LINE_AA)
        cv2.circle(cell, spot(*told["default"][:2]), 5, colour, 2, cv2.LINE_AA)
    return cell


def sheet(path, panels, across=4):
    """Diagrams side by side, and what the colours are."""
    panels = list(panels)
    panels += [numpy.full_like(panels[0], 255)] * (-len(panels) % across)
    rows = [numpy.hstack(panels[i : i + across]) for i in range(0, len(panels), across)]
    foot = numpy.full((30, rows[0].shape[1], 3), 255, numpy.uint8)
    x = LEFT
    for program, colour in COLOURS.items():
        cv2.line(foot, (x, 14), (x + 24, 14), colour, 3, cv2.LINE_AA)
        text(foot, program, (x + 30, 18), 0.42)
        x += 200
    text(foot, "ring: default", (x, 18), 0.42)
    cv2.imwrite(path, numpy.vstack([*rows, foot]), [cv2.IMWRITE_PNG_COMPRESSION, 9])
