"""How well detections agree with what was there: by block and by event.

A detection is a list of boxes (x, y, w, h) for each frame. All programs are measured alike: what a box
touches of the 8x8 blocks counts as detected, and one rule makes events of frames with boxes.
"""

import dataclasses

import numpy

BLOCK = 8
# Motion must last so long before it is an event, and so long without any ends it: Vedette's defaults.
LASTS, ENDS = 0.2, 5.0
# An event that ends or begins so close to a true one belongs to it.
NEAR = 1.0


def ratio(part, other):
    return part / (part + other) if part + other else 1.0


@dataclasses.dataclass
class Count:
    """What was found, what was found though it is not there, what was missed."""

    hit: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other):
        return Count(self.hit + other.hit, self.false + other.false, self.missed + other.missed)

    @property
    def precision(self):
        return ratio(self.hit, self.false)

    @property
    def recall(self):
        return ratio(self.hit, self.missed)

    @property
    def f1(self):
        return 2 * self.hit / max(2 * self.hit + self.false + self.missed, 1)


def touched(boxes, grid):
    """The blocks that boxes touch, as a plane of `grid` (columns, rows)."""
    plane = numpy.zeros(grid[::-1], bool)
    for x, y, w, h in boxes:
        if w > 0 and h > 0:
            plane[max(y, 0) // BLOCK : -(-(y + h) // BLOCK), max(x, 0) // BLOCK : -(-(x + w) // BLOCK)] = True
    return plane


def wider(plane):
    """A plane with each block's eight neighbours."""
    padded = numpy.pad(plane, 1)
    rows, columns = plane.shape
    return numpy.any([padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)], axis=0)


def truth(about):
    """{frame: (blocks of what moves, blocks that count for nothing)}, made once for a clip: around a thing,
    its shadow, and things that stand still or are too faint to see."""
    if "planes" not in about:
        about["planes"] = planes = {}
        for frame in about["frames"]:
            there, unsure = touched(frame["boxes"], about["grid"]), numpy.zeros(about["grid"][::-1], bool)
            unsure.flat[frame["unsure"]] = True
            planes[frame["n"]] = there, (wider(unsure) | wider(there)) & ~there
    return about["planes"]


def blocks(about, found):
    """Counts blocks over the frames of a clip, after its warm-up."""
    count, planes = Count(), truth(about)
    nothing = numpy.zeros(about["grid"][::-1], bool)
    for n in range(int(about["warm"] * about["fps"]), len(found)):
        if n not in planes and not found[n]:
            continue
        there, unsure = planes.get(n, (nothing, nothing))
        seen = touched(found[n], about["grid"])
        count.hit += int((seen & there).sum())
        count.missed += int((there & ~seen).sum())
        count.false += int((seen & ~there & ~unsure).sum())
    return count


def events(flags, fps):
    """Events [first motion, last motion] in seconds, of frames with motion: the rule of Vedette's own."""
    found, rising, last, active = [], None, None, False
    for n, flag in enumerate(flags):
        t = n / fps
        if active and t - last > ENDS:
            active, rising = False, None
        if not flag:
            # Two frames without motion take back what has not become an event.
            if rising is not None and not active and t - last >= 1.5 / fps:
                rising = None
            continue
        if rising is None:
            rising = t
        last = t
        if active:
            found[-1][1] = t
        elif t - rising >= LASTS - 1e-6:
            active = True
            found.append([rising, t])
    return found


def overlap(a, b):
    return a[0] <= b[1] and b[0] <= a[1]


def match(about, found):
    """Counts events of a clip: true ones that were found or missed, and false ones, whose times it tells.

    A true event is found when an event overlaps it. An event is false when it began while nothing was there,
    whatever came later: who calls without a pause finds everything and is wrong all the same.
    """
    found = [e for e in found if e[1] >= about["warm"]]
    there = about["events"] + about["maybe"]
    count = Count()
    for event in about["events"]:
        hit = any(overlap(event, e) for e in found)
        count += Count(hit=int(hit), missed=int(not hit))
    false = [e for e in found if not any(true[0] - NEAR <= e[0] <= true[1] + NEAR for true in there)]
    return count + Count(false=len(false)), false


def envelope(points):
    """The best precision at each recall: points (recall, precision), none beaten by another in both."""
    best, kept = -1.0, []
    for recall, precision in sorted(set(points), key=lambda p: (-p[0], -p[1])):
        if precision > best:
            kept.append((recall, precision))
            best = precision
    return kept[::-1]


def area(points):
    """Area below the envelope, drawn as stairs from recall 0: average precision over the sweep."""
    total, before = 0.0, 0.0
    for recall, precision in envelope(points):
        total += (recall - before) * precision
        before = recall
    return total
