"""A scene as a camera would see it: light on a photograph, things on the ground, weather, the camera itself.

    photograph ── things over it, with shadows ── wind, water ──▶ what is there (reflectance)
        × daylight, clouds, lamps, flashes ── rain, snow, insects ── shake ──▶ what reaches the lens
        × exposure + noise of the sensor ── its colours, its curve ── JPEG ──▶ a frame

All of it in linear light. What happens is decided by the clip's seed and the frame's number alone.
"""

import dataclasses
import math

import cv2
import numpy

import photos

WIDTH, HEIGHT = photos.SIZE
GREY = numpy.array([0.114, 0.587, 0.299], numpy.float32)
# A silicon sensor without its IR filter sees leaves bright and all else nearly grey.
INFRARED = numpy.array([0.15, 0.50, 0.45], numpy.float32)
CURVE = numpy.array(
    [255 * (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055) for v in numpy.linspace(0, 1, 4096)],
    numpy.float32,
)
YS, XS = numpy.mgrid[0:HEIGHT, 0:WIDTH].astype(numpy.float32)


def encode(x):
    """Linear light to the camera's 0..255."""
    return CURVE[(numpy.clip(x, 0, 1) * 4095).astype(numpy.int32)]


@dataclasses.dataclass
class Actor:
    """A thing on its way: `path` is a list of (x, y of its feet) and of seconds to wait there; `pace` is in
    its own heights a second (a person walks 0.8). `height` in pixels, or by the plate's perspective."""

    sprite: str
    start: float
    path: list
    pace: float = 0.8
    height: float = 0.0
    grow: float = 1.0
    shadow: float = 0.45

    def schedule(self, plate):
        """Moments (t, x, y, moves) along the way."""
        t, at, told = self.start, None, []
        for step in self.path:
            if not isinstance(step, tuple):
                told.append((t, *at, False))
                t += step
                continue
            if at is not None:
                tall = (self.tall(plate, at[1]) + self.tall(plate, step[1])) / 2
                told.append((t, *at, True))
                t += math.dist(at, step) / max(tall * self.pace, 0.5)
            at = step
        told.append((t, *at, False))
        return told

    def tall(self, plate, y):
        return self.height or max((y - plate.horizon) * plate.slope, 4.0) * self.grow


def at_time(told, t):
    """Where a thing of that schedule is: (x, y, moves, dx) or None."""
    if not told[0][0] <= t < told[-1][0]:
        return None
    for (t0, x0, y0, moves), (t1, x1, y1, _) in zip(told, told[1:]):
        if t0 <= t < t1:
            part = (t - t0) / (t1 - t0) if moves else 0.0
            return x0 + (x1 - x0) * part, y0 + (y1 - y0) * part, moves, x1 - x0
    return None


@dataclasses.dataclass
class Placed:
    """A thing in one frame: its coverage of the picture, 0 to 1, and whether it moves."""

    alpha: numpy.ndarray
    moves: bool


class Stage:
    """The plate of a clip and what stands on it."""

    def __init__(self, clip, material, rng):
        self.clip, self.material, self.rng = clip, material, rng
        self.plate = photos.PLATES[clip.plate]
        self.ground = photos.linear(material.plates[clip.plate])
        self.hides = sum((photos.polygon(p, 1.5) for p in self.plate.hides), numpy.zeros((HEIGHT, WIDTH), numpy.float32))
        self.sprites = {s.name: s for s in material.people} | material.things
        self.trees = None
        if clip.wind and self.plate.trees:
            self.trees = numpy.clip(sum(photos.polygon(p, 12) for p in self.plate.trees), 0, 1)
        self.water, self.wavelets = None, None
        if clip.ripple:
            self.water = photos.polygon(self.plate.water, 8)
            fields = rng.standard_normal((2, HEIGHT // 2, WIDTH // 6), numpy.float32)
            self.wavelets = [cv2.resize(f, photos.SIZE, interpolation=cv2.INTER_CUBIC) for f in fields]
        self.phases = rng.uniform(0, 2 * math.pi, 12)
        self.schedules = [actor.schedule(self.plate) for actor in clip.actors]

    def wind(self, t):
        """Gusts: seldom none, never even."""
        p = self.phases
        return 0.35 + 0.45 * math.sin(0.5 * t + p[0]) ** 2 + 0.3 * math.sin(1.3 * t + p[1])

    def sway(self, t, mask, strength):
        """Maps for cv2.remap that move what is in `mask` as leaves move."""
        p, gust = self.phases, self.wind(t) * strength
        dx = numpy.sin(2 * math.pi * 0.45 * t + p[2] + XS / 90 + YS / 140) + 0.5 * numpy.sin(
            2 * math.pi * 1.1 * t + p[3] + XS / 23 - YS / 31
        )
        dy = 0.5 * numpy.sin(2 * math.pi * 0.7 * t + p[4] + XS / 41 + YS / 57)
        return (XS + gust * mask * dx).astype(numpy.float32), (YS + gust * mask * dy).astype(numpy.float32)

    def ripple(self, t):
        p = self.phases
        dy = numpy.sin(2 * math.pi * 0.9 * t + p[5] + YS / 2.5 + XS / 60) + numpy.sin(
            2 * math.pi * 0.6 * t + p[6] + YS / 4 - XS / 35
        )
        # Two fields of wavelets that drift through each other: where both are steep the sky glints.
        a, b = (numpy.roll(self.wavelets[i], (int(9 * t), int((1 - 2 * i) * 23 * t)), (0, 1)) for i in (0, 1))
        light = 1 + 0.5 * self.clip.ripple * self.water * (numpy.clip(a * b - 0.6, 0, 2) - 0.08)
        return XS, (YS + self.clip.ripple * 1.5 * self.water * dy).astype(numpy.float32), light.astype(numpy.float32)

    def see(self, t):
        """What is there at `t`: its reflectance, the same without things, the things, their shadows."""
        scene = self.ground
        if self.trees is not None:
            scene = cv2.remap(scene, *self.sway(t, self.trees, self.clip.wind), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        if self.water is not None:
            xs, ys, light = self.ripple(t)
            scene = cv2.remap(scene, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) * light[..., None]
        bare, placed, shade = scene, [], None
        order = []
        for actor, told in zip(self.clip.actors, self.schedules):
            where = at_time(told, t)
            if where:
                order.append((where[1], actor, where))
        for _, actor, where in sorted(order, key=lambda o: o[0]):
            scene, alpha, shadow = self.put(scene, actor, where, t)
            placed.append(Placed(alpha, where[2]))
            shade = shadow if shade is None else numpy.maximum(shade, shadow)
        if self.clip.leaves:
            scene, bare = self.hang(scene, t), self.hang(bare, t) if placed else None
        return scene, bare if placed else scene, placed, shade

    def put(self, scene, actor, where, t):
        x, y, moves, dx = where
        sprite = self.sprites[actor.sprite]
        steps = len(sprite.frames)
        # The footage has ten frames a second; who slows down slows his steps. There and back, so that no step jumps.
        n = int((t - actor.start) * 10 * min(actor.pace / 0.8, 1.3)) if moves else 0
        n %= max(2 * steps - 2, 1)
        picture = sprite.frames[n if n < steps else 2 * steps - 2 - n]
        if (dx > 0) != sprite.to_right and dx != 0:
            picture = picture[:, ::-1]
        tall = actor.tall(self.plate, y)
        nominal = sum(f.shape[0] for f in sprite.frames) / steps
        scale = tall / nominal
        patch = picture.astype(numpy.float32)
        if scale < 1:
            patch = cv2.GaussianBlur(patch, (0, 0), 0.45 / scale)
        h, w = patch.shape[:2]
        sx, sy = self.plate.sun
        # All that it and its shadow may touch.
        left, right = int(x - scale * w - abs(sx) * tall) - 4, int(x + scale * w + abs(sx) * tall) + 4
        top, bottom = int(y - tall) - 4, int(y + max(sy, 0.05) * tall) + 6
        left, right = max(left, 0), min(right, WIDTH)
        top, bottom = max(top, 0), min(bottom, HEIGHT)
        alpha, shadow = numpy.zeros((2, HEIGHT, WIDTH), numpy.float32)
        if left >= right or top >= bottom:
            return scene, alpha, shadow
        size, here = (right - left, bottom - top), (slice(top, bottom), slice(left, right))
        place = numpy.array([[scale, 0, x - scale * w / 2 - left], [0, scale, y - scale * h - top]], numpy.float32)
        covers = cv2.warpAffine(patch[..., 3], place, size) / 255
        colour = cv2.warpAffine(patch[..., :3], place, size, borderMode=cv2.BORDER_REPLICATE)
        # A shadow is the thing laid onto the ground, away from the sun: its head is farthest.
        lay = place.copy()
        lay[0, 1], lay[0, 2] = -sx * scale, place[0, 2] + sx * scale * h
        lay[1, 1], lay[1, 2] = -sy * scale, y - top + sy * scale * h - 0.02 * tall
        dark = cv2.GaussianBlur(cv2.warpAffine(patch[..., 3], lay, size) / 255, (0, 0), max(0.03 * tall, 0.7))
        if self.plate.hides:
            covers, dark = covers * (1 - self.hides[here]), dark * (1 - self.hides[here])
        alpha[here], shadow[here] = covers, dark
        dark = 1 - actor.shadow * self.clip.shadows * dark * (1 - covers)
        lit = photos.linear(numpy.clip(colour, 0, 255)) * self.clip.thing_light
        mix = covers[..., None]
        scene = scene.copy()
        scene[here] = scene[here] * (1 - mix) * dark[..., None] + lit * mix
        return scene, alpha, shadow

    def hang(self, scene, t):
        """A near branch, in the upper right corner, in the wind."""
        leaves = cv2.resize(self.material.leaves, None, fx=1.9, fy=1.9, interpolation=cv2.INTER_CUBIC).astype(numpy.float32)
        h, w = leaves.shape[:2]
        canvas = numpy.zeros((HEIGHT, WIDTH, 4), numpy.float32)
        canvas[: h - 60, WIDTH - w + 20 :] = leaves[60:, : w - 20]
        reach = numpy.clip((HEIGHT * 0.1 + WIDTH - XS) / 180, 0, 1.6)
        xs, ys = self.sway(t, reach, self.clip.leaves)
        # The cut-out ends straight below; twigs end raggedly.
        ends = numpy.clip((h - 75 - 22 * numpy.sin(XS / 13) - 14 * numpy.sin(XS / 5.3) - YS) / 12, 0, 1)
        canvas[..., 3] *= ends
        moved = cv2.remap(canvas, xs, ys, cv2.INTER_LINEAR)
        alpha = moved[..., 3:] / 255
        return scene * (1 - alpha) + photos.linear(moved[..., :3]) * 0.8 * alpha


def cone(x, y, rx, ry, hard=2.0):
    """Light that falls on a part of the scene: an ellipse with a soft edge."""
    far = numpy.sqrt(((XS - x) / rx) ** 2 + ((YS - y) / ry) ** 2)
    return numpy.clip((1 - far) * hard, 0, 1) ** 1.5


class Sky:
    """All light on the scene."""

    def __init__(self, clip, rng):
        self.clip = clip
        self.cloud = cv2.resize(rng.random((7, 18)).astype(numpy.float32), (WIDTH * 5, HEIGHT * 2), interpolation=cv2.INTER_CUBIC)
        self.above = photos.polygon(photos.PLATES[clip.plate].sky, 6)
        self.lamps = [(self.falls(lamp), lamp) for lamp in clip.lamps]
        # An infrared lamp beside the lens lights the middle best.
        self.ring = 0.16 + 0.84 * numpy.exp(-(((XS - WIDTH / 2) / 300) ** 2 + ((YS - HEIGHT * 0.6) / 230) ** 2))
        self.ring *= 1 - 0.9 * self.above

    def falls(self, lamp):
        """Where a lamp's light falls: nowhere in the sky. That of a window is seen in its panes alone."""
        if "pane" in lamp:
            x, y, w, h = lamp["pane"]
            return photos.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], 1.0)
        return (cone(*lamp["cone"]) if "cone" in lamp else numpy.ones((HEIGHT, WIDTH), numpy.float32)) * (1 - self.above)

    def glow(self, t):
        """What shines by itself: lit windows, in linear light, or None."""
        lit = [lamp["light"](t) * shape for shape, lamp in self.lamps if "pane" in lamp]
        return sum(lit)[..., None] * numpy.array([0.45, 0.75, 1.0], numpy.float32) if lit else None

    def shine(self, t):
        """(light as a plane, is it infrared). Day is 1."""
        clip = self.clip
        light = numpy.full((HEIGHT, WIDTH), clip.ambient(t), numpy.float32)
        if clip.ambient(t) < 0.5:
            # The darker the day, the darker its sky beside all else.
            light *= 1 - 1.8 * (0.5 - clip.ambient(t)) * self.above
        if clip.clouds:
            x = int(60 + t * clip.clouds_speed) % (WIDTH * 4)
            shade = numpy.clip((self.cloud[100 : 100 + HEIGHT, x : x + WIDTH] - 0.3) * 1.7, 0, 1)
            light *= 1 - clip.clouds * shade * (1 - self.above)
        for shape, lamp in self.lamps:
            strength = lamp["light"](t)
            if strength and "pane" not in lamp:
                light = light + strength * shape
        for at, strength, length in clip.flashes:
            if at <= t < at + length:
                light = light + strength * math.exp(-2.5 * (t - at) / length) * (0.6 + 1.4 * self.above)
        for beam in clip.beams:
            part = (t - beam["at"]) / beam["lasts"]
            if 0 <= part < 1:
                x = beam["from"] + (beam["to"] - beam["from"]) * part
                light = light + beam["light"] * math.sin(math.pi * part) * cone(x, beam["y"], 150, 100, 1.6) * (1 - self.above)
        infrared = any(a <= t < b for a, b in clip.infrared)
        if infrared:
            light = light * 0.5 + 0.5 * self.ring
        return light, infrared


class Weather:
    """What falls and flies between the scene and the lens."""

    def __init__(self, clip, rng, fps):
        self.clip, self.rng, self.fps = clip, rng, fps
        n = int(clip.snow)
        self.flakes = numpy.column_stack(
            [rng.uniform(0, WIDTH, n), rng.uniform(0, HEIGHT, n), rng.uniform(0.3, 1, n) ** 2]
        )
        self.insects = []

    def fall(self, t):
        """Light added by drops, flakes and insects, or None."""
        clip, rng = self.clip, self.rng
        if not (clip.rain or clip.snow or clip.insects):
            return None
        layer = numpy.zeros((HEIGHT, WIDTH), numpy.float32)
        gust = 1 + 0.4 * math.sin(0.4 * t)
        for _ in range(int(clip.rain * gust)):
            x, y, near = rng.uniform(-40, WIDTH), rng.uniform(-60, HEIGHT), rng.random() ** 2
            length = 12 + 45 * near
            end = (int(x + 0.15 * length), int(y + length))
            cv2.line(layer, (int(x), int(y)), end, 0.04 + 0.10 * (1 - near), 1 + int(near > 0.6), cv2.LINE_AA)
        if clip.snow:
            f = self.flakes
            f[:, 0] = (f[:, 0] + (10 + 25 * math.sin(0.7 * t)) * f[:, 2] * 5 / self.fps) % WIDTH
            f[:, 1] = f[:, 1] + (25 + 90 * f[:, 2]) * 5 / self.fps
            gone = f[:, 1] > HEIGHT + 10
            f[gone, 0], f[gone, 1] = rng.uniform(0, WIDTH, gone.sum()), rng.uniform(-20, 0, gone.sum())
            for x, y, near in f:
                cv2.ellipse(layer, (int(x), int(y)), (1 + int(2.6 * near**3), 1 + int(4 * near**3)), 0, 0, 360, 0.35 - 0.2 * near, -1, cv2.LINE_AA)
        if clip.insects and rng.random() < clip.insects / self.fps:
            self.insects.append([rng.uniform(60, WIDTH - 60), rng.uniform(40, HEIGHT - 40), *rng.uniform(-700, 700, 2), rng.uniform(6, 22), t])
        if clip.insects:
            self.insects = [i for i in self.insects if t - i[5] < 0.9]
            blur = numpy.zeros_like(layer)
            for i in self.insects:
                old = (int(i[0]), int(i[1]))
                i[0] += i[2] / self.fps
                i[1] += i[3] / self.fps
                i[2:4] = [i[2] + rng.uniform(-200, 200), i[3] + rng.uniform(-200, 200)]
                # The shutter is open for a fortieth of a second.
                part = min(1.0, self.fps / 40)
                end = (int(old[0] + (i[0] - old[0]) * part), int(old[1] + (i[1] - old[1]) * part))
                cv2.line(blur, old, end, 0.4, int(i[4]), cv2.LINE_AA)
            layer = layer + cv2.GaussianBlur(blur, (0, 0), 5)
        return cv2.GaussianBlur(layer, (0, 0), 0.7)


class Sensor:
    """Exposure, noise, colours, curve, JPEG."""

    # Noise fields to draw from; each frame takes one, shifted and turned.
    FIELDS = 10

    def __init__(self, clip, rng):
        self.clip, self.rng = clip, rng
        shape = (HEIGHT + 64, WIDTH + 64, 3)
        self.fields = []
        for _ in range(self.FIELDS):
            # What the colour filter's mosaic leaves: neighbours resemble each other a little.
            field = cv2.GaussianBlur(rng.standard_normal(shape, numpy.float32), (0, 0), 0.55)
            self.fields.append(field / field.std())
        self.vignette = 1 - 0.25 * (((XS - WIDTH / 2) / WIDTH) ** 2 + ((YS - HEIGHT / 2) / HEIGHT) ** 2)
        self.gain = None
        self.way = numpy.zeros(2)

    def noise(self):
        field = self.fields[self.rng.integers(self.FIELDS)]
        x, y = self.rng.integers(0, 64, 2)
        part = field[y : y + HEIGHT, x : x + WIDTH]
        if self.rng.random() < 0.5:
            part = part[:, ::-1]
        return part if self.rng.random() < 0.5 else -part

    def shake(self):
        """Pixels by which the mast moves: slow swing and quick tremble."""
        self.way = 0.75 * self.way + self.rng.normal(0, self.clip.shake, 2) * 0.66
        return self.way

    def expose(self, light, t):
        """Gain of this frame. An automatic one follows the mean light late, and may hunt."""
        clip = self.clip
        wanted = 0.20 / max(float((light[::8, ::8] @ GREY).mean()), 1e-4)
        wanted = min(max(wanted, clip.gains[0]), clip.gains[1])
        if self.gain is None:
            self.gain = wanted
        self.gain *= (wanted / self.gain) ** clip.automatic
        return self.gain * clip.hunt(t)

    def take(self, light, gain, infrared, t):
        """A frame in 8 bits BGR."""
        clip = self.clip
        signal = light * (gain * self.vignette)[..., None]
        if infrared:
            signal = numpy.repeat((signal @ INFRARED)[..., None], 3, axis=2)
        iso = clip.noise * gain ** 0.5 * (2.0 if infrared else 1.0)
        spread = numpy.sqrt(numpy.maximum(signal, 0) * (0.00035 * iso) + (0.0022 * iso) ** 2)
        noise = self.noise()
        if infrared:
            noise = noise[..., :1]
        seen = signal + spread * noise
        if infrared or clip.soft:
            seen = cv2.GaussianBlur(seen, (0, 0), 0.9 if infrared else clip.soft)
        frame = encode(seen)
        if clip.grey:
            frame = numpy.repeat((frame @ GREY)[..., None], 3, axis=2)
        return frame.astype(numpy.uint8)


def jpeg(frame, quality):
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
