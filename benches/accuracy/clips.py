"""The clips: what each shows, and what a camera's owner wants to be told of it.

A clip with actors wants its events; one without wants none. Seeds are part of a clip: whoever changes
one, or a clip's order of random draws, makes other clips.
"""

import dataclasses
import math
import typing
import zlib

from scene import Actor

ALL = []
# Added to each clip's own.
SEED = 0


def always(value):
    return lambda t: value


def steps(*changes, soft=0.15):
    """A level over time: (time, level) each reached within `soft` seconds; 0 before the first."""

    def level(t):
        now = 0.0
        for at, to in changes:
            part = min(max((t - at) / soft, 0.0), 1.0)
            now += (to - now) * part
        return now

    return level


def slide(t0, v0, t1, v1):
    return lambda t: v0 + (v1 - v0) * min(max((t - t0) / (t1 - t0), 0.0), 1.0)


def hunting(*times):
    """Exposure that swings around its aim after each of `times`."""

    def gain(t):
        return math.prod(
            1 + 0.45 * math.exp(-(t - at) / 2.2) * math.sin(2 * math.pi * (t - at) / 1.7) for at in times if t >= at
        )

    return gain


@dataclasses.dataclass
class Clip:
    """What happens in one clip; see `scene` for what each field does."""

    name: str
    group: str
    plate: str
    shows: str
    actors: list = dataclasses.field(default_factory=list)
    seconds: int = 40
    fps: int = 5
    warm: float = 8.0
    ambient: typing.Callable = always(1.0)
    clouds: float = 0.0
    clouds_speed: float = 40.0
    lamps: list = dataclasses.field(default_factory=list)
    flashes: list = dataclasses.field(default_factory=list)
    beams: list = dataclasses.field(default_factory=list)
    infrared: list = dataclasses.field(default_factory=list)
    rain: int = 0
    snow: int = 0
    insects: float = 0.0
    shake: float = 0.0
    wind: float = 0.0
    leaves: float = 0.0
    ripple: float = 0.0
    shadows: float = 1.0
    thing_light: float = 1.0
    gains: tuple = (0.4, 3.0)
    automatic: float = 0.08
    hunt: typing.Callable = always(1.0)
    noise: float = 1.0
    soft: float = 0.0
    grey: bool = False
    quality: int = 80

    def __post_init__(self):
        ALL.append(self)

    @property
    def seed(self):
        return zlib.crc32(self.name.encode()) + SEED


def walk(n, start, *path, **more):
    return Actor(f"walker {n}", start, list(path), **more)


NIGHT = {"ambient": always(0.02), "gains": (0.4, 7.0), "shadows": 0.2, "thing_light": 0.7}
LAMP = {"cone": (250, 330, 330, 260), "light": always(0.10)}
AT_NIGHT = NIGHT | {"lamps": [LAMP]}
INFRARED = {"infrared": [(-1, 999)], "ambient": always(0.01), "gains": (0.4, 6.0), "shadows": 0.0, "noise": 1.2}
ACROSS = [(-25, 182), (250, 200), (420, 196), (600, 140)]

# Day: people in daylight, nothing else.
Clip("day-street", "day", "street", "three people walk across", [
    walk(4, 9, *ACROSS), walk(7, 12, (665, 330), (470, 255), (330, 210), (-20, 178)), walk(9, 25, (660, 300), (330, 205), (200, 190), (-20, 178))],
    seconds=45)  # fmt: skip
Clip("day-lane", "day", "lane", "one comes near, one goes away", [
    walk(5, 9, (205, 322), (230, 360), (300, 470), (330, 640), pace=0.4), walk(6, 22, (-50, 420), (300, 390), (215, 325), pace=0.6)],
    thing_light=0.6)  # fmt: skip
Clip("day-corner", "day", "corner", "two cross, a car leaves", [
    walk(3, 9, (660, 440), (300, 455), (-60, 470)), Actor("car", 20, [(330, 470), (400, 370), (422, 318)], pace=0.8, grow=0.9),
    walk(8, 27, (425, 320), (400, 380), (250, 560), pace=0.4)], thing_light=0.55)  # fmt: skip
Clip("day-office", "day", "office", "two come out of the building, behind the hedge and back", [
    walk(6, 10, (660, 428), (240, 428)), walk(4, 24, (260, 428), (660, 428), grow=1.1)])  # fmt: skip
Clip("day-yard", "day", "garage", "a squirrel crosses the floor", [
    Actor("squirrel", 10, [(-40, 452), (180, 458), 2.0, (420, 450), 1.5, (690, 440)], pace=1.6, height=70)],
    thing_light=0.8)  # fmt: skip

# Low light: little light, much gain.
Clip("night-lane", "night", "lane", "a walker under one street lamp", [
    walk(4, 10, (205, 322), (230, 360), (300, 470), (330, 640), pace=0.4), walk(7, 24, (500, 400), (300, 385), (-40, 430))], **AT_NIGHT)
Clip("night-office", "night", "office", "a walker before the lit entrance", [walk(9, 12, (660, 428), (240, 428))],
    **NIGHT | {"lamps": [{"cone": (520, 390, 260, 160), "light": always(0.15)}]})
Clip("night-street-ir", "night", "street", "two walkers in infrared light", [
    walk(4, 10, *ACROSS), walk(5, 22, (660, 300), (470, 255), (330, 210), (-20, 178))], **INFRARED)
Clip("night-street-dark", "night", "street", "a walker on a street almost dark", [
    walk(9, 12, (660, 330), (470, 255), (330, 210), (-20, 178), grow=1.2)], noise=1.5, **NIGHT | {"ambient": always(0.012)})

# Changes of light: no event is wanted.
Clip("light-lamp-room", "light", "garage", "the lamp of the room goes on and off",
    ambient=always(0.05), lamps=[{"light": steps((12, 0.9), (22, 0.0), (30, 0.9))}], gains=(0.4, 8.0), automatic=0.25)
Clip("light-lamp-cone", "light", "lane", "a street lamp goes on at dusk, off, on", ambient=always(0.12), gains=(0.4, 6.0),
    lamps=[{"cone": (140, 330, 230, 200), "light": steps((12, 0.5), (24, 0.0), (32, 0.5), soft=0.4)}])
Clip("light-window", "light", "lane", "windows light up one after the other at night", **AT_NIGHT | {"lamps": [LAMP] + [
    {"pane": pane, "light": steps((at, 0.06), (at + 14, 0.0))} for pane, at in (((127, 273, 34, 36), 11),
    ((511, 202, 22, 44), 16), ((556, 202, 24, 44), 17), ((516, 266, 26, 46), 21))]})
Clip("light-infrared", "light", "street", "the infrared filter moves at dusk, and back", ambient=always(0.08), gains=(0.4, 6.0),
    infrared=[(14, 28)], automatic=0.3, hunt=hunting(14, 28))
Clip("light-exposure", "light", "office", "exposure hunts", hunt=hunting(12, 20, 29))
Clip("light-lightning", "light", "lane", "a thunderstorm at night, without rain",
    flashes=[(11, 0.6, 0.3), (11.4, 0.9, 0.4), (19, 0.4, 0.2), (26, 1.2, 0.6), (33, 0.5, 0.25)], **AT_NIGHT)
Clip("light-clouds", "light", "temple", "clouds pass before the sun", clouds=0.55, clouds_speed=45.0)
Clip("light-headlights", "light", "corner", "headlights of a car out of sight sweep over houses",
    beams=[{"at": 12, "lasts": 2.5, "from": -150, "to": 700, "y": 330, "light": 0.35},
           {"at": 21, "lasts": 1.6, "from": 750, "to": 100, "y": 300, "light": 0.5},
           {"at": 31, "lasts": 3.5, "from": -150, "to": 500, "y": 360, "light": 0.3}],
    **NIGHT | {"lamps": [{"cone": (400, 330, 300, 200), "light": always(0.05)}]})  # fmt: skip
Clip("light-dusk", "light", "corner", "dusk in half a minute", ambient=slide(8, 1.0, 38, 0.05), gains=(0.4, 10.0))

# Changes of light while something moves.
Clip("both-clouds", "light with object", "street", "clouds, and two people", [
    walk(4, 13, *ACROSS), walk(6, 27, (660, 300), (330, 205), (-20, 178))], clouds=0.5, clouds_speed=60.0)
Clip("both-lamp", "light with object", "garage", "the lamp goes on, then a squirrel comes, then it goes off", [
    Actor("squirrel", 17, [(-40, 452), (180, 458), 1.5, (690, 440)], pace=1.6, height=80)],
    ambient=always(0.05), lamps=[{"light": steps((12, 0.9), (32, 0.0))}], gains=(0.4, 8.0), automatic=0.25)
Clip("both-infrared", "light with object", "street", "the infrared filter moves while one walks", [
    walk(5, 13, *ACROSS), walk(4, 27, (660, 300), (330, 205), (-20, 178))], ambient=always(0.08), gains=(0.4, 6.0),
    infrared=[(17, 99)], automatic=0.3, hunt=hunting(17))
Clip("both-dusk", "light with object", "lane", "dusk, and walkers", [
    walk(4, 12, (205, 322), (230, 360), (300, 470), (330, 640), pace=0.4), walk(7, 26, (-50, 420), (300, 390), (215, 325), pace=0.6)],
    ambient=slide(8, 1.0, 38, 0.05), gains=(0.4, 10.0), thing_light=0.6)

# Weather.
Clip("rain-lane", "weather", "lane", "rain, and one walker", [
    walk(6, 18, (205, 322), (230, 360), (300, 470), (330, 640), pace=0.4)], rain=70, shadows=0.2, thing_light=0.6)
Clip("rain-night", "weather", "street", "heavy rain in infrared light, nobody", rain=120, **INFRARED)
Clip("snow-street", "weather", "street", "snow, and one walker", [walk(4, 16, *ACROSS)], snow=170, shadows=0.2)
Clip("snow-night", "weather", "corner", "snow under infrared light, nobody", snow=120, **INFRARED)
Clip("insects", "weather", "office", "insects before the lens at night, nobody", insects=0.25, **INFRARED)

# What sways.
Clip("sway-office", "swaying", "office", "gusts in tree and bushes, nobody", wind=3.5, seconds=50)
Clip("sway-branch", "swaying", "street", "a near branch in the wind, and one walker", [walk(7, 24, *ACROSS)], leaves=6.0)
Clip("sway-temple", "swaying", "temple", "trees in the wind and glittering water, nobody", wind=3.0, ripple=1.0)
Clip("shake-street", "swaying", "street", "the mast trembles, one walker", [walk(4, 18, *ACROSS)], shake=0.7)
Clip("shake-office", "swaying", "office", "the mast trembles, nobody", shake=0.8)

# Small, far and slow.
Clip("far-street", "small and far", "street", "people at the far end of the lawn", [
    walk(2, 10, (-15, 112), (300, 72)), walk(9, 24, (260, 82), (10, 118))], seconds=45)
Clip("far-lane", "small and far", "lane", "people at the end of the lane", [
    walk(5, 10, (180, 334), (215, 330), (206, 320)), walk(6, 22, (206, 320), (230, 336), (340, 342))], thing_light=0.6)
Clip("far-animal", "small and far", "corner", "a squirrel at a distance", [
    Actor("squirrel", 11, [(660, 430), (480, 420), 2.0, (330, 410), 1.5, (120, 440)], pace=2.2, height=26)], thing_light=0.6)
Clip("slow-street", "slow", "street", "one who creeps", [walk(4, 10, (520, 240), (380, 215), pace=0.10)])
Clip("slow-loiter", "slow", "lane", "one who comes, stands, and goes", [
    walk(5, 10, (-50, 430), (200, 410), 8.0, (320, 400), 4.0, (-50, 425))], thing_light=0.6, seconds=50)
Clip("slow-night", "slow", "lane", "one who creeps at night", [walk(4, 10, (330, 400), (200, 390), pace=0.12)], **AT_NIGHT)
Clip("start", "slow", "street", "one stands there as the camera starts, and walks away", [
    walk(4, -1, (330, 215), 13.0, (420, 196), (600, 140))], seconds=40)

# Nothing at all.
Clip("empty-day", "empty", "street", "an empty street, coarse JPEG", quality=45, noise=1.5)
Clip("empty-night", "empty", "lane", "an empty lane at night, high gain", noise=2.0, **AT_NIGHT)
Clip("empty-pad", "empty", "pad", "real lamps at night, high gain", noise=2.5, gains=(0.4, 8.0), ambient=always(0.4))
