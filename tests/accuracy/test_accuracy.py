"""The accuracy benchmark: its arithmetic, its clips' determinism, and what a tiny clip's truth says."""

import os
import sys
import tempfile
import unittest
from unittest import mock

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../../benches/accuracy"), os.path.join(HERE, "../../benches/peers")]
import clips  # noqa: E402
import frames  # noqa: E402
import generate  # noqa: E402
import photos  # noqa: E402
import scene  # noqa: E402
import score  # noqa: E402

GRID = [80, 60]


def about(**more):
    """The truth of a clip of ten seconds in which a thing of 2 x 2 blocks is at the left edge from 2 s on."""
    there = [{"n": n, "boxes": [[0, 0, 16, 16]], "blocks": [0, 1, 80, 81], "unsure": []} for n in range(10, 20)]
    return {"fps": 5, "warm": 1.0, "grid": GRID, "frames": there, "events": [[2.0, 3.8]], "maybe": []} | more


class Blocks(unittest.TestCase):
    def test_a_box_touches_every_block_that_it_reaches_into(self):
        plane = score.touched([[7, 8, 2, 8]], GRID)
        self.assertEqual(numpy.argwhere(plane).tolist(), [[1, 0], [1, 1]])
        self.assertEqual(score.touched([[-4, 470, 8, 40], [0, 0, 0, 5]], GRID).sum(), 2)

    def test_exact_boxes_are_all_right(self):
        found = [[]] * 10 + [[[0, 0, 16, 16]]] * 10
        self.assertEqual(score.blocks(about(), found), score.Count(hit=40))

    def test_half_found_and_a_false_one_far_away_are_counted_and_a_neighbour_is_not(self):
        found = [[]] * 10 + [[[0, 0, 24, 8], [320, 240, 8, 8]]] * 10
        count = score.blocks(about(), found)
        self.assertEqual(count, score.Count(hit=20, false=10, missed=20))
        self.assertAlmostEqual(count.precision, 2 / 3)
        self.assertAlmostEqual(count.recall, 0.5)
        self.assertAlmostEqual(count.f1, 4 / 7)

    def test_warming_up_and_what_is_unsure_count_for_nothing(self):
        found = [[[320, 240, 8, 8]]] * 5 + [[]] * 15
        self.assertEqual(score.blocks(about(), found).false, 0)
        unsure = about(frames=[{"n": 7, "boxes": [], "blocks": [], "unsure": [30 * 80 + 40]}])
        found = [[]] * 7 + [[[328, 240, 8, 8]]] + [[[328, 240, 8, 8]]]
        self.assertEqual(score.blocks(unsure, found), score.Count(false=1))


class Events(unittest.TestCase):
    def test_motion_in_one_frame_is_no_event_and_in_two_it_is(self):
        self.assertEqual(score.events([0, 1, 0, 0, 1, 0, 0], 5), [])
        self.assertEqual(score.events([0, 1, 1, 0], 5), [[0.2, 0.4]])
        self.assertEqual(score.events([0, 1, 0, 1, 0, 0], 5), [[0.2, 0.6]])

    def test_pauses_up_to_five_seconds_are_bridged(self):
        self.assertEqual(len(score.events([1, 1] + [0] * 24 + [1, 1], 5)), 1)
        self.assertEqual(len(score.events([1, 1] + [0] * 26 + [1, 1], 5)), 2)

    def test_found_missed_and_false_events(self):
        told = about(events=[[2, 3], [20, 22]], maybe=[[40, 41]])
        count, false = score.match(told, [[1.5, 2.2], [2.8, 3.5], [10, 12], [40.5, 45], [0, 0.5]])
        self.assertEqual(count, score.Count(hit=1, false=1, missed=1))
        self.assertEqual(false, [[10, 12]])

    def test_who_calls_without_a_pause_finds_all_and_is_wrong(self):
        told = about(events=[[4, 6], [20, 22]])
        self.assertEqual(score.match(told, [[1, 40]])[0], score.Count(hit=2, false=1))


class Curves(unittest.TestCase):
    def test_the_envelope_keeps_what_nothing_beats(self):
        points = [(0.5, 0.9), (0.4, 0.8), (0.9, 0.5), (0.5, 0.7), (0.2, 1.0)]
        self.assertEqual(score.envelope(points), [(0.2, 1.0), (0.5, 0.9), (0.9, 0.5)])
        self.assertAlmostEqual(score.area(points), 0.2 + 0.3 * 0.9 + 0.4 * 0.5)


def material():
    """Made-up photographs, so that this needs none: noise as a plate, a grey block as a walker."""
    rng = numpy.random.default_rng(3)
    plate = rng.integers(60, 200, (480, 640, 3)).astype(numpy.uint8)
    walker = numpy.full((60, 24, 4), 255, numpy.uint8)
    walker[..., :3] = 20
    return photos.Photos({"street": plate}, [photos.Sprite("walker 1", [walker])], {}, walker)


def tiny(name):
    with mock.patch.object(clips, "ALL", []):
        return clips.Clip(
            name, "day", "street", "a block walks", [clips.walk(1, 1, (100, 200), (160, 200), 4.0, (220, 200))],
            seconds=3, warm=0.0, rain=5, wind=1.0, clouds=0.3,
        )  # fmt: skip


class Generator(unittest.TestCase):
    def test_a_seed_makes_the_same_frames_and_another_does_not(self):
        digests = []
        with tempfile.TemporaryDirectory() as folder:
            for name in ("one", "one", "two"):
                generate.make(tiny(name), material(), folder)
                with open(os.path.join(folder, name + ".json")) as file:
                    digests.append(clips_digest(file))
            read = frames.jpegs(os.path.join(folder, "one.avi"), 15)
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])
        self.assertEqual(len(read), 15)
        self.assertTrue(all(f[:2] == b"\xff\xd8" and f[-2:] == b"\xff\xd9" for f in read))

    def test_the_truth_has_the_walker_while_he_walks_and_is_unsure_while_he_stands(self):
        walk = clips.walk(1, 0, (100, 200), (160, 200), 1.0, (220, 200))
        with mock.patch.object(clips, "ALL", []):
            clip = clips.Clip("x", "day", "street", "", [walk], seconds=5)
        told = [truth for _, truth in generate.render(clip, material())]
        tall = walk.tall(photos.PLATES["street"], 200)
        x, y, w, h = told[0][0][0]
        self.assertAlmostEqual(y + h, 200, delta=2)
        self.assertAlmostEqual(h, tall, delta=3)
        self.assertAlmostEqual(x + w / 2, 100, delta=2)
        stands = int(5 * (60 / (0.8 * tall) + 0.5))
        boxes, seen, unsure = told[stands]
        self.assertEqual((boxes, seen.any(), unsure.any()), ([], False, True))

    def test_every_clip_has_a_name_of_its_own_and_a_plate(self):
        names = [c.name for c in clips.ALL]
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(len({c.seed for c in clips.ALL}), len(names))
        for clip in clips.ALL:
            self.assertIn(clip.plate, photos.PLATES, clip.name)
            for actor in clip.actors:
                told = actor.schedule(photos.PLATES[clip.plate])
                self.assertLess(told[0][0], clip.seconds)


def clips_digest(file):
    return generate.json.load(file)["digest"]


if __name__ == "__main__":
    unittest.main()
