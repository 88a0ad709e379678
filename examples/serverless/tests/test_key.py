"""Keys and metadata, held to the example in docs/object-contract.md."""

import re
import unittest
from datetime import datetime, timezone

from tests.support import REPOSITORY, pictures
from vedette_events import facts, is_key, parse_key, user_metadata

SHA16 = "703564d18073abb2"


def contract():
    """The example's key and metadata, from the document itself."""
    text = (REPOSITORY / "docs/object-contract.md").read_text()
    example = text[text.index("<!-- example: begin -->") : text.index("<!-- example: end -->")]
    blocks = re.findall(r"```text\n(.*?)```", example, re.DOTALL)
    return blocks[0].strip(), dict(line.split(": ", 1) for line in blocks[1].strip().splitlines())


class Keys(unittest.TestCase):
    def test_what_is_no_picture(self):
        text = (REPOSITORY / "docs/object-contract.md").read_text()
        for folder, suffix in (("doctor", "txt"), ("diagnose", "tar.gz")):
            self.assertIn(f"`v1/{{device}}/{folder}/{{yyyymmdd}}T{{hhmmss}}Z-{{8 hex digits}}.{suffix}`", text)
            key = f"v1/porch-1/{folder}/20261122T101530Z-1b6c0e9f.{suffix}"
            self.assertTrue(is_key(key))
            self.assertIsNone(parse_key(key))

    def test_the_contracts_example(self):
        key, meta = contract()
        parsed, told = parse_key(key), facts(meta)
        self.assertEqual((parsed.device, parsed.camera, parsed.trigger), ("porch-1", "front", "motion"))
        self.assertEqual((parsed.seq, parsed.kind, parsed.unsynced), (1042, "jpg", False))
        self.assertEqual(parsed.captured, datetime(2026, 11, 22, 10, 15, 30, 123000, timezone.utc))
        self.assertEqual(parsed.sha16, meta["sha256"][:16])
        for name in ("device", "camera", "trigger", "seq", "captured"):
            self.assertEqual(getattr(parsed, name), told[name], name)
        self.assertEqual(told["motion-box"], (48, 32, 40, 64))
        self.assertEqual((told["event-final"], told["captured-boottime"]), (False, 93847120456789))
        self.assertEqual((told["motion-score"], told["label-floor"]), (0.0471, "ground"))

    def test_recorded_pictures(self):
        for key, (_, meta) in pictures().items():
            parsed, told = parse_key(key), facts(meta)
            for name in ("device", "camera", "trigger", "seq", "captured"):
                self.assertEqual(getattr(parsed, name), told[name], key)

    def test_unsynced_keys_have_a_boot_and_no_time(self):
        parsed = parse_key(f"v1/porch-1/front/unsynced/0f3c9a52/00000042-{SHA16}.jpg")
        self.assertEqual((parsed.boot, parsed.unsynced, parsed.captured, parsed.trigger), ("0f3c9a52", True, None, None))
        self.assertEqual((parsed.device, parsed.camera, parsed.seq), ("porch-1", "front", 42))

    def test_manifests(self):
        parsed = parse_key(f"v1/porch-1/front/2026/11/22/101530.123Z-manifest-00000042-{SHA16}.json")
        self.assertEqual((parsed.trigger, parsed.kind), ("manifest", "json"))

    def test_templates_of_ones_own_give_what_every_template_has(self):
        for key in (f"pics/porch-1/0f3c-1d4c/00000042-{SHA16}.jpg", f"v1/a/b/2026/11/22/x-00000042-{SHA16}.jpg"):
            parsed = parse_key(key)
            self.assertEqual((parsed.seq, parsed.sha16, parsed.device), (42, SHA16, None))

    def test_what_is_no_key_is_none(self):
        for key in [
            "", "v1/a.jpg", "holiday.jpg", f"v1/p/f/2026/13/22/101530.123Z-motion-00001042-{SHA16}.jpg",
            f"v1/p/../f/00000042-{SHA16}.jpg", f"/v1/p/00000042-{SHA16}.jpg", f"v1//00000042-{SHA16}.jpg",
            f"v1/p/f/x y/00000042-{SHA16}.jpg", f"v1/p/0000042-{SHA16}.jpg", f"v1/p/00000042-{SHA16}.jpg.json",
            f"v1/p/00000042-{SHA16}.jpg\n", f"v1/p/00000042-{SHA16.upper()}.jpg", "x" * 901,
        ]:
            self.assertIsNone(parse_key(key), key)
        self.assertFalse(is_key("v1/.part"))


class Metadata(unittest.TestCase):
    def test_every_providers_prefix_goes_and_nothing_else_is_taken(self):
        headers = {f"X-{name}-Meta-Motion-Score": "0.5" for name in ("Amz", "Cos", "Oss", "Obs")}
        self.assertEqual(user_metadata(headers), {"motion-score": "0.5"})
        self.assertEqual(user_metadata({"x-amz-security-token": "secret", "etag": "x", "authorization": "y"}), {})

    def test_what_cannot_be_read_is_left_out_and_what_is_new_stays(self):
        told = facts({"seq": "many", "motion-box": "1-2", "event-final": "yes", "captured": "?", "new-name": "1"})
        self.assertEqual(told, {"new-name": "1"})
