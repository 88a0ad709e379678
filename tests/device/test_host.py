"""Tests of what the device's driver decides: python3 -m unittest discover -s tests/device"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "host"))
import plan
import results


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

    def test_core_takes_two_boots(self):
        ahead = plan.Ahead(plan.steps(["core"], 1))
        first = ahead.next_boot()
        ahead.booted(first, first, "cut")
        second = ahead.next_boot()
        ahead.booted(second, second, "off")
        self.assertEqual(ahead.next_boot(), [])


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


if __name__ == "__main__":
    unittest.main()
