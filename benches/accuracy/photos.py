"""Real photographs: the plates that clips are made on, and what moves on them, cut out.

`tools/setup accuracy` puts the files into target/accuracy/photos; none of them is kept in the
repository. docs/accuracy.md names their origin and licence.
"""

import dataclasses
import os
import pickle

import cv2
import numpy

SIZE = (640, 480)
PHOTOS = "target/accuracy/photos"
FOOTAGE = "target/footage/vtest.avi"


@dataclasses.dataclass(frozen=True)
class Plate:
    """A background: how tall a person is who stands at a height of the picture, and what hides him.

    A person whose feet are at `y` is `(y - horizon) * slope` pixels tall. `sky`, `trees`, `water` and
    `hides` are polygons in pixels of SIZE. `sun` is where shadows fall: pixels sideways and down for each
    pixel of a thing's height.
    """

    file: str
    crop: tuple
    horizon: float
    slope: float
    sun: tuple = (0.5, 0.12)
    sky: tuple = ()
    trees: tuple = ()
    water: tuple = ()
    hides: tuple = ()


# Crops are x, y, width, height in the file's own pixels, all 4:3.
PLATES = {
    "street": Plate("vtest", (0, 0, 768, 576), -32, 0.24, (0.55, 0.10)),
    "lane": Plate(
        "leuvenA.jpg", (0, 0, 750, 563), 303, 1.06, (0.3, 0.08),
        sky=((30, 0), (640, 0), (640, 60), (440, 55), (420, 190), (350, 190), (310, 140), (240, 190), (185, 200), (180, 130), (110, 20)),
    ),
    "corner": Plate(
        "leuvenB.jpg", (0, 0, 750, 563), 303, 1.06, (-0.3, 0.08),
        sky=((140, 0), (600, 0), (600, 200), (540, 210), (390, 160), (320, 110), (250, 90)),
    ),
    "office": Plate(
        "building.jpg", (0, 0, 800, 600), 378, 0.85, (0.4, 0.1),
        sky=((0, 0), (160, 0), (110, 60), (110, 230), (0, 250)),
        trees=(((0, 0), (185, 0), (185, 70), (60, 130), (0, 130)), ((0, 190), (200, 240), (215, 345), (0, 345))),
        hides=(((0, 340), (305, 345), (305, 428), (0, 425)),),
    ),
    "temple": Plate(
        "china.jpg", (71, 0, 569, 427), 200, 0.3,
        sky=((0, 0), (640, 0), (640, 185), (240, 185), (210, 110), (150, 40), (110, 40), (50, 90), (0, 150)),
        trees=(((40, 380), (300, 330), (460, 270), (520, 480), (0, 480), (0, 400)),
               ((480, 140), (640, 130), (640, 480), (500, 480))),
        water=((215, 200), (480, 195), (480, 280), (330, 330), (250, 330)),
    ),
    "garage": Plate("motorcycle_left.png", (40, 0, 666, 500), 140, 0.35, (0.2, 0.05)),
    "pad": Plate("rocket.jpg", (36, 0, 569, 427), 440, 0.5),
}  # fmt: skip


LINEAR = numpy.array(
    [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in numpy.linspace(0, 1, 256)], numpy.float32
)


def linear(picture):
    """8-bit sRGB to linear light, 0 to 1."""
    return LINEAR[picture.astype(numpy.uint8)]


def read(name):
    picture = cv2.imread(os.path.join(PHOTOS, name))
    if picture is None:
        raise SystemExit(f"{PHOTOS}/{name} is missing: run tools/setup accuracy")
    return picture


def footage():
    capture, frames = cv2.VideoCapture(FOOTAGE), []
    while True:
        good, frame = capture.read()
        if not good:
            break
        frames.append(frame)
    if len(frames) < 700:
        raise SystemExit(f"{FOOTAGE} is missing: run tools/setup accuracy")
    return frames


def polygon(points, soft=0):
    mask = numpy.zeros(SIZE[::-1], numpy.float32)
    if len(points):
        cv2.fillPoly(mask, [numpy.array(points, numpy.int32)], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), soft) if soft else mask


def plate(photo, empty_street):
    picture = empty_street if photo.file == "vtest" else read(photo.file)
    x, y, w, h = photo.crop
    crop = picture[y : y + h, x : x + w]
    how = cv2.INTER_AREA if w > SIZE[0] else cv2.INTER_CUBIC
    return cv2.resize(crop, SIZE, interpolation=how)


@dataclasses.dataclass
class Sprite:
    """A thing cut out of photographs: BGRA pictures, one after the other as it walks, and whether it walks
    to the right in them. Its feet are at the bottom edge."""

    name: str
    frames: list
    to_right: bool = True


def feather(mask, soft=0.8, inside=1):
    """A mask with soft edges that lie inside of it, so that nothing of the old background shows."""
    mask = cv2.erode(mask, None, iterations=inside) if inside else mask
    return cv2.GaussianBlur(mask.astype(numpy.float32), (0, 0), soft)


def bgra(picture, alpha):
    return numpy.dstack([picture.astype(numpy.float32), alpha[..., None] * 255]).astype(numpy.uint8)


def walkers(frames, empty, wanted=9):
    """People who walk alone through the footage, as they differ from its empty street."""
    open_tracks, closed = [], []
    for frame in frames:
        off = cv2.GaussianBlur(cv2.absdiff(frame, empty), (0, 0), 1.0).max(axis=2)
        mask = cv2.morphologyEx((off > 22).astype(numpy.uint8), cv2.MORPH_CLOSE, numpy.ones((7, 3), numpy.uint8))
        count, labels, stats, centres = cv2.connectedComponentsWithStats(mask)
        now = []
        for i in range(1, count):
            x, y, w, h, area = stats[i]
            inside = x > 2 and y > 2 and x + w < 766 and y + h < 574
            if inside and area > 300 and 1.5 < h / w < 4.5 and area > 0.3 * w * h:
                patch = (labels[y : y + h, x : x + w] == i).astype(numpy.uint8)
                now.append((centres[i], (x, y, w, h), bgra(frame[y : y + h, x : x + w], feather(patch, 0.8, 2 if h > 55 else 1))))
        going = []
        for track in open_tracks:
            (cx, cy), (_, _, _, h), _ = track[-1]
            near = [n for n in now if abs(n[0][0] - cx) < 14 and abs(n[0][1] - cy) < 10 and abs(n[1][3] - h) < 0.2 * h]
            if len(near) == 1:
                track.append(near[0])
                now = [n for n in now if n is not near[0]]
                going.append(track)
            else:
                closed.append(track)
        open_tracks = going + [[n] for n in now]
    closed += open_tracks
    good = []
    for track in closed:
        steps = track[1:-1]
        if len(steps) < 18:
            continue
        way = steps[-1][0][0] - steps[0][0][0]
        if abs(way) < 2.0 * len(steps):
            continue
        good.append((len(steps), way, [s[2] for s in steps]))
    good.sort(key=lambda g: -g[0])
    return [Sprite(f"walker {i + 1}", s[:60], way > 0) for i, (_, way, s) in enumerate(good[:wanted])]


def grabbed(name, box, file, rounds=3):
    """A thing cut out of a photograph: the rectangle around it is told, GrabCut finds its outline."""
    picture = read(file)
    mask = numpy.zeros(picture.shape[:2], numpy.uint8)
    cv2.setRNGSeed(1)
    cv2.grabCut(picture, mask, box, numpy.zeros((1, 65)), numpy.zeros((1, 65)), rounds, cv2.GC_INIT_WITH_RECT)
    found = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(numpy.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, numpy.ones((5, 5), numpy.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found)
    best = 1 + int(numpy.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h, _ = stats[best]
    alpha = feather((labels[y : y + h, x : x + w] == best).astype(numpy.uint8), 1.5, 2)
    return Sprite(name, [bgra(picture[y : y + h, x : x + w], alpha)])


def branch():
    """A tree's leaves before a bright sky; what is dark there is leaf."""
    picture = plate(PLATES["temple"], None)[150:330, 500:640]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(numpy.float32)
    alpha = numpy.clip((165 - grey) / 50, 0, 1)
    fade = polygon([(20, -40), (180, -40), (180, 220), (60, 190), (10, 60)])[:180, :140]
    return bgra(picture, alpha * cv2.GaussianBlur(fade, (0, 0), 6))


@dataclasses.dataclass
class Photos:
    """Everything that clips are made of."""

    plates: dict
    people: list
    things: dict
    leaves: numpy.ndarray


def load():
    """Reads and cuts out everything; what took long is kept beside the photographs."""
    kept = os.path.join(PHOTOS, "cut-outs.pickle")
    if os.path.exists(kept):
        with open(kept, "rb") as file:
            return pickle.load(file)
    photos = cut()
    with open(f"{kept}.{os.getpid()}", "wb") as file:
        pickle.dump(photos, file)
    os.replace(file.name, kept)
    return photos


def cut():
    frames = footage()
    empty = numpy.median(numpy.stack(frames[::30]), axis=0).astype(numpy.uint8)
    things = {
        "car": grabbed("car", (25, 25, 550, 420), "licenseplate_motion.jpg"),
        "squirrel": grabbed("squirrel", (180, 110, 190, 225), "squirrel_cls.jpg"),
    }
    plates = {name: plate(photo, empty) for name, photo in PLATES.items()}
    return Photos(plates, walkers(frames, empty), things, branch())
