"""Tests of what the device's driver decides: python3 -m unittest discover -s tests/device"""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "host"))
import bars
import plan
import results
from asks import Asks
from PIL import Image


def steps(*names):
    """`a+` has a second part."""
    return [plan.Step(n.rstrip("+"), n.rstrip("+"), n.endswith("+")) for n in names]


def scripts(parts):
    return [part.script for part in parts]


class Boots(unittest.TestCase):
    def test_scenarios_without_a_second_part_share_one_boot(self):
        ahead = plan.Ahead(steps("a", "b"))
        first = ahead.next_boot()
        self.assertEqual(scripts(first), ["a", "b"])
        ahead.booted(first, first, "off")
        self.assertEqual(ahead.next_boot(), [])

    def test_second_parts_begin_the_next_boot(self):
        ahead = plan.Ahead(steps("a", "b+", "c+", "d"))
        first = ahead.next_boot()
        self.assertEqual(scripts(first), ["a", "b", "c"])
        ahead.booted(first, first, "cut")
        self.assertEqual(scripts(ahead.next_boot()), ["b.after", "c.after", "d"])

    def test_what_a_cut_left_out_runs_in_the_next_boot(self):
        ahead = plan.Ahead(steps("b+", "c+"))
        first = ahead.next_boot()
        ahead.booted(first, first[:1], "cut")
        self.assertEqual(scripts(ahead.next_boot()), ["b.after", "c"])

    def test_a_device_that_never_boots_has_an_end(self):
        ahead = plan.Ahead(steps("a", "b+"))
        for _ in range(4):
            parts = ahead.next_boot()
            ahead.booted(parts, [], "dead")
        self.assertEqual(ahead.next_boot(), [])

    def test_every_name_in_the_sets_is_there(self):
        for name in plan.sets():
            self.assertTrue(plan.expand([name]))
        with self.assertRaises(plan.Unknown):
            plan.expand(["no-such"])

    def test_all_are_all_that_there_are(self):
        self.assertEqual(sorted(plan.expand(["all"])), plan.scenarios())

    def test_core_takes_two_boots(self):
        ahead = plan.Ahead(plan.steps(["core"], 1))
        first = ahead.next_boot()
        ahead.booted(first, first, "cut")
        second = ahead.next_boot()
        ahead.booted(second, second, "off")
        self.assertEqual(ahead.next_boot(), [])


class Given:
    """A store with these keys, and a broker that heard these lines."""

    def __init__(self, heard):
        self.there, self.heard = [], heard
        self.hear("")

    def keys(self, prefix=""):
        return [key for key in self.there if key.startswith(prefix)]

    def hear(self, text):
        self.heard.write_text(text)


class Marks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        share = Path(self.folder.name)
        self.given = Given(share / "heard.txt")
        self.asks = Asks(share, self.given, self.given, None)
        self.asks.clear()

    def ask(self, label, *words):
        """As the guest does it: exit status and text."""
        (self.asks.ask / "1").write_text("\n".join([label, *words]) + "\n")
        self.asks.serve()
        status, _, text = (self.asks.answer / "1").read_text().partition("\n")
        return int(status), text.strip()

    def test_a_scenario_counts_only_objects_that_came_since_its_mark(self):
        self.given.there = ["front/1", "front/2", "street/1"]
        self.assertEqual(self.ask("a", "mark"), (0, ""))
        self.assertEqual(self.ask("a", "count", "front/"), (0, "0"))
        self.given.there += ["front/3"]
        self.assertEqual(self.ask("a", "count", "front/"), (0, "1"))
        self.assertEqual(self.ask("a", "newest", "street/", "x")[0], 1)

    def test_a_scenario_hears_only_what_was_said_since_its_mark(self):
        self.given.hear("gate/online true\n")
        self.ask("a", "mark")
        self.assertEqual(self.ask("a", "heard", "online"), (1, ""))
        self.given.hear("gate/online true\ngate/online false\n")
        self.assertEqual(self.ask("a", "heard", "online"), (0, "gate/online false"))

    def test_a_mark_is_its_labels_and_outlives_a_boot(self):
        self.given.there = ["front/1"]
        self.ask("a", "mark")
        self.given.there += ["front/2"]
        self.ask("b", "mark")
        self.asks.clear()
        self.assertEqual(self.ask("a", "count"), (0, "1"))
        self.assertEqual(self.ask("b", "count"), (0, "0"))

    def test_without_a_mark_everything_is_seen(self):
        self.given.there = ["front/1"]
        self.assertEqual(self.ask("c", "count"), (0, "1"))


class Verdicts(unittest.TestCase):
    GOOD = "BEGUN a\nOK       10.0  first\nOK       11.0  second\nENDED a\n"

    def test_all_well(self):
        verdict = results.read("a", self.GOOD)
        self.assertTrue(verdict.well)
        self.assertIn("2 checks, 0 failed", results.summary([verdict], [], 1).splitlines()[-1])

    def test_one_failed_check_is_counted_and_named(self):
        verdict = results.read("a", self.GOOD.replace("OK       11.0", "FAILED   11.0"))
        self.assertFalse(verdict.well)
        said = results.summary([verdict], [], 1)
        self.assertIn("2 checks, 1 failed", said)
        self.assertIn("FAILED  1 of 2 checks: second", said)

    def test_a_scenario_that_stopped_in_its_middle_failed(self):
        self.assertFalse(results.read("a", self.GOOD.replace("ENDED a\n", "")).well)

    def test_a_scenario_that_never_ran_failed(self):
        self.assertFalse(results.read("a", "").well)
        self.assertFalse(results.read("a", "BEGUN a\nENDED a\n").well)

    def test_what_the_host_saw_counts(self):
        self.assertFalse(results.read("a", self.GOOD, ["the device hung"]).well)

    def test_the_console_is_cut_at_the_scenarios_marks(self):
        parts = results.by_label("boot\n[  1.0] device-test[2]: DEVICE scenario a a\nx\nDEVICE scenario b b\ny\n")
        self.assertEqual(parts["boot"], "boot\n")
        self.assertTrue(parts["a"].endswith("x\n") and parts["b"].endswith("y\n"))


class Bars(unittest.TestCase):
    @staticmethod
    def picture(colours):
        image = Image.new("RGB", (640, 480))
        for n, colour in enumerate(colours):
            image.paste(colour, (n * 80, 0, n * 80 + 80, 480))
        return image

    def test_bars_in_their_colours_are_well(self):
        self.assertEqual(bars.verdict("yuyv", self.picture(bars.COLOURS)), (0, []))

    def test_swapped_channels_are_seen(self):
        swapped = [(b, g, r) for r, g, b in bars.COLOURS]
        self.assertEqual(len(bars.verdict("bgr24", self.picture(swapped))[1]), 4)

    def test_a_narrow_range_taken_for_a_full_one_is_seen(self):
        narrow = [tuple(round(16 + c * 219 / 255) for c in colour) for colour in bars.COLOURS]
        self.assertTrue(bars.verdict("yuyv", self.picture(narrow))[1])

    def test_grey_formats_show_brightness(self):
        grey = [(bars.brightness(c),) * 3 for c in bars.COLOURS]
        self.assertEqual(bars.verdict("y10", self.picture(grey)), (0, []))
        self.assertTrue(bars.verdict("yuyv", self.picture(grey))[1])


if __name__ == "__main__":
    unittest.main()
