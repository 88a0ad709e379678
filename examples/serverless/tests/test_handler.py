"""What the handler promises, on a directory as its store: the same code path as with a bucket."""

import hashlib
import io
import json
import random
import shutil
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from PIL import Image

import handler
from handler import Outcome, Picture, Retry, Settings, handle, handle_event
from store import DirStore, StoreError
from tests.support import PICTURES, Counting, manifest, motion_picture, pictures, quiet, shapes
from vedette_events import EventError, ObjectCreated


class OnADirectory(unittest.TestCase):
    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory())) / "pictures"
        shutil.copytree(PICTURES, self.root)
        self.store = DirStore(self.root)

    def new(self, key, bucket="pictures"):
        return ObjectCreated(bucket=bucket, key=key, source="test")

    def put(self, key, body, metadata=None):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if metadata is not None:
            told = {"key": key, "content_type": "image/jpeg", "metadata": metadata}
            path.with_name(path.name + ".json").write_text(json.dumps(told))

    def results(self):
        found = self.root / "results"
        return sorted(p.relative_to(self.root).as_posix() for p in found.rglob("*") if p.is_file())

    def line(self, key):
        text = (self.root / f"results/pictures/{key}.json").read_text()
        self.assertEqual((text.count("\n"), text[-1]), (1, "\n"))
        return json.loads(text)


class APicture(OnADirectory):
    def test_it_gets_a_thumbnail_and_a_line_with_all_facts(self):
        key, body, meta = motion_picture()
        [outcome] = handle([self.new(key)], self.store)
        self.assertEqual(outcome, Outcome("pictures", key, "done", f"results/pictures/{key}.json"))
        line = self.line(key)
        self.assertEqual((line["kind"], line["bucket"], line["key"], line["size"]), ("picture", "pictures", key, len(body)))
        self.assertEqual(line["sha256"], hashlib.sha256(body).hexdigest())
        self.assertEqual((line["metadata"], line["content_type"]), (meta, "image/jpeg"))
        facts = line["facts"]
        self.assertEqual((facts["device"], facts["camera"], facts["trigger"]), ("porch-1", "street", "motion"))
        self.assertEqual((facts["seq"], facts["captured"]), (5, meta["captured"]))
        self.assertEqual(line["look"], {"width": 160, "height": 120})
        with Image.open(self.root / line["thumbnail"]["key"]) as small:
            self.assertEqual((small.format, small.size), ("JPEG", (160, 120)), "never enlarged")

    def test_a_large_one_becomes_320_pixels_wide_or_high(self):
        for size, small in (((1920, 1080), (320, 180)), ((600, 2400), (80, 320)), ((1, 1), (1, 1))):
            out = io.BytesIO()
            Image.new("RGB", size, "teal").save(out, "JPEG")
            self.assertEqual(handler.thumbnail(out.getvalue())[1:], small)

    def test_your_own_look_gets_the_picture_and_its_answer_is_kept(self):
        key, body, meta = motion_picture()
        seen = []

        def look(picture):
            seen.append(picture)
            return {"label": "person"}

        with mock.patch.object(handler, "look", look):
            handle([self.new(key)], self.store)
        [picture] = seen
        self.assertIsInstance(picture, Picture)
        self.assertEqual((picture.key, picture.body, picture.metadata, picture.facts["seq"]), (key, body, meta, 5))
        self.assertEqual(self.line(key)["look"], {"label": "person"})

    def test_one_that_cannot_be_decoded_is_recorded_and_never_tried_again(self):
        for body in (b"", b"no JPEG at all", motion_picture()[1][:900]):
            digest = hashlib.sha256(body).hexdigest()
            key = f"v1/porch-1/street/2026/11/23/042011.000Z-motion-00000020-{digest[:16]}.jpg"
            self.put(key, body)
            self.assertEqual([one.status for one in handle([self.new(key)], self.store)], ["done"])
            line = self.line(key)
            self.assertIsNone(line["thumbnail"])
            self.assertIn("cannot be decoded", line["problem"])

    def test_unsynced_ones_are_pictures_too(self):
        _, body, meta = motion_picture()
        meta = {name: value for name, value in meta.items() if name != "captured"} | {"clock": "unsynced"}
        key = f"v1/porch-1/street/unsynced/71d47208/00000005-{meta['sha256'][:16]}.jpg"
        self.put(key, body, meta)
        handle([self.new(key)], self.store)
        self.assertNotIn("captured", self.line(key)["facts"])
        self.assertEqual(self.line(key)["facts"]["boot"], meta["boot"], "the whole one, from the metadata")

    def test_with_a_template_without_digest_in_its_name_the_metadata_decide(self):
        _, body, meta = motion_picture()
        self.put("v1/one/00000005.jpg", body, meta)
        self.put("v1/two/00000005.jpg", body)
        outcomes = handle([self.new("v1/one/00000005.jpg"), self.new("v1/two/00000005.jpg")], self.store)
        self.assertEqual([one.status for one in outcomes], ["done", "skipped"])


class AManifest(OnADirectory):
    def test_it_is_recorded_without_a_thumbnail(self):
        key, body, meta = manifest()
        self.put(key, body, meta)
        handle([self.new(key)], self.store)
        line = self.line(key)
        self.assertEqual((line["kind"], line["manifest"]["event"]), ("manifest", "71d47208-c3500"))
        self.assertEqual(self.results(), [f"results/pictures/{key}.json"])

    def test_what_stands_beside_a_picture_is_none(self):
        key, *_ = motion_picture()
        [outcome] = handle([self.new(key + ".json")], self.store)
        self.assertEqual((outcome.status, self.results()), ("skipped", []))


class Bytes(OnADirectory):
    def test_other_bytes_than_the_key_says_are_told_and_not_processed(self):
        key, body, _ = motion_picture()
        (self.root / key).write_bytes(body[:-1])
        with quiet() as log:
            [outcome] = handle_event({"Records": [_record(key)]}, None, self.store, Settings())
        self.assertEqual((outcome.status, self.results()), ("mismatch", []))
        self.assertIn(hashlib.sha256(body[:-1]).hexdigest(), outcome.detail)
        self.assertEqual(json.loads(log.getvalue())["level"], "error")

    def test_the_whole_digest_in_the_metadata_counts_too(self):
        key, body, meta = motion_picture()
        self.put(key, body, {**meta, "sha256": meta["sha256"][:-1] + "x"})
        self.assertEqual(handle([self.new(key)], self.store)[0].status, "mismatch")


class Often(OnADirectory):
    def test_31_deliveries_of_12_objects_out_of_order_give_12_results(self):
        keys = list(pictures())[:12]
        chance = random.Random(31)
        deliveries = keys + chance.choices(keys, k=19)
        chance.shuffle(deliveries)
        store = Counting(self.store)
        statuses = [handle([self.new(key)], store)[0].status for key in deliveries]
        self.assertEqual((len(deliveries), statuses.count("done"), statuses.count("already")), (31, 12, 19))
        self.assertEqual(len(self.results()), 24)
        self.assertEqual(len(store.created), 24)

    def test_doubles_within_one_event_are_done_once(self):
        key, *_ = motion_picture()
        store = Counting(self.store)
        self.assertEqual(len(handle([self.new(key)] * 5, store)), 1)
        self.assertEqual(store.calls, 4, "exists, get, thumbnail, line")

    def test_eight_at_once_make_one_result(self):
        key, *_ = motion_picture()
        store = Counting(self.store)
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(lambda _: handle([self.new(key)], store)[0].status, range(8)))
        self.assertEqual((outcomes.count("done"), outcomes.count("already")), (1, 7))
        self.assertEqual(sorted(store.created), self.results())

    def test_a_result_is_the_same_whoever_told_of_the_picture_and_when(self):
        lines = set()
        for name, told in shapes().items():
            for case in told["cases"]:
                for expected in case["expect"]:
                    if expected["key"] == motion_picture()[0] and expected["bucket"] == "pictures":
                        shutil.rmtree(self.root / "results", ignore_errors=True)
                        with quiet():
                            handle_event(case["event"], case.get("headers"), self.store, Settings())
                        lines.add((self.root / self.results()[0]).read_bytes())
        self.assertEqual(len(lines), 1)

    def test_the_same_key_in_two_buckets_is_two_pictures(self):
        key, *_ = motion_picture()
        other = self.root.parent / "attic"
        shutil.copytree(PICTURES, other)
        store = DirStore(self.root, other)
        settings = Settings(bucket="attic")
        outcomes = handle([self.new(key), self.new(key, "attic")], store, settings)
        self.assertEqual([one.status for one in outcomes], ["done", "done"])
        self.assertEqual(len(list((other / "results").rglob("*.jpg.json"))), 2)


class Never(OnADirectory):
    def test_its_own_results_do_not_set_it_off(self):
        handle([self.new(key) for key in pictures()], self.store)
        results = self.results()
        outcomes = handle([self.new(key) for key in results], self.store)
        self.assertEqual({one.status for one in outcomes}, {"skipped"})
        self.assertEqual(self.results(), results)
        # Not even one that in all else is a picture.
        key, body, meta = motion_picture()
        for key in (f"results/pictures/{key}", f"results/{key}"):
            self.put(key, body, meta)
            self.assertEqual(handle([self.new(key)], self.store)[0].status, "skipped")

    def test_keys_elsewhere_and_foreign_keys_are_passed_over_unread(self):
        store = Counting(self.store)
        keys = ["v2/a.jpg", "holiday.jpg", "v1", "v1/a.txt", "v1/my pics/a+b.jpg", "v1/../secret.jpg", "v1//a.jpg"]
        self.assertEqual({one.status for one in handle(map(self.new, keys), store)}, {"skipped"})
        self.assertEqual(store.calls, 0)

    def test_settings_that_would_make_it_call_itself_are_refused(self):
        for pictures_prefix, results in [("v1/", "v1/results/"), ("v1/", "v1/"), ("res", "results/"), ("", "results/")]:
            with self.assertRaisesRegex(ValueError, "again"):
                Settings(pictures_prefix, results)
        for results in ("", "/", "results", "../results/", "a b/"):
            with self.assertRaises(ValueError):
                Settings(results=results)


class AStoreThatFails(OnADirectory):
    def test_what_is_done_stays_done_and_the_next_delivery_does_the_rest(self):
        keys = list(pictures())
        chance = random.Random(3)
        store = Counting(self.store, lambda _: chance.random() < 1 / 3)
        event = [self.new(key) for key in keys]
        rounds, done = 0, 0
        while True:
            rounds += 1
            try:
                outcomes = handle(event, store)
                break
            except Retry as retry:
                self.assertEqual(len(retry.outcomes) + len(retry.failures), len(keys))
                now = len(self.results())
                self.assertGreaterEqual(now, done, "nothing is undone")
                done = now
            self.assertLess(rounds, 100)
        self.assertGreater(rounds, 1)
        self.assertIn("already", {one.status for one in outcomes})
        self.assertEqual(len(self.results()), 2 * len(keys))
        self.assertEqual(len(set(store.created)), len(store.created), "each of them once")

    def test_the_line_is_written_last(self):
        key, *_ = motion_picture()
        store = Counting(self.store, lambda number: number == 4)  # exists, get, thumbnail: and now the line
        with self.assertRaisesRegex(Retry, "create: away"):
            handle([self.new(key)], store)
        self.assertEqual([name[-10:] for name in self.results()], [".thumb.jpg"])
        self.assertEqual(handle([self.new(key)], store)[0].status, "done")

    def test_a_look_that_fails_is_tried_again_and_keeps_nobody_waiting(self):
        keys = list(pictures())[:3]

        def look(picture):
            if picture.key == keys[1]:
                raise ConnectionError("the model is away")
            return {}

        with mock.patch.object(handler, "look", look), self.assertRaisesRegex(Retry, "the model is away") as raised:
            handle([self.new(key) for key in keys], self.store)
        self.assertEqual([one.key for one in raised.exception.outcomes], [keys[0], keys[2]])
        self.assertEqual(handle([self.new(keys[1])], self.store)[0].status, "done")

    def test_a_disk_that_is_not_mounted_is_no_deleted_picture(self):
        key, *_ = motion_picture()
        (self.root / key).unlink()
        self.assertEqual(handle([self.new(key)], self.store)[0].status, "gone")
        shutil.rmtree(self.root)
        with self.assertRaisesRegex(Retry, "mounted"):
            handle([self.new(key)], self.store)
        with self.assertRaisesRegex(Retry, "no directory for bucket 'attic'"):
            handle([self.new(key, "attic")], self.store)


class Entry(OnADirectory):
    def test_garbage_is_the_one_error_that_says_do_not_try_again(self):
        with quiet(), self.assertRaises(EventError):
            handle_event(b"{", None, self.store, Settings())

    def test_each_object_is_told_in_a_line_of_json(self):
        key, *_ = motion_picture()
        with quiet() as log:
            handle_event({"Records": [_record(key), _record("v2/a.jpg")]}, None, self.store, Settings())
        told = [json.loads(line) for line in log.getvalue().splitlines()]
        self.assertEqual([(one["status"], one["key"]) for one in told], [("done", key), ("skipped", "v2/a.jpg")])


class Directories(OnADirectory):
    def test_an_object_is_created_once_and_whole(self):
        self.assertTrue(self.store.create("pictures", "results/a.json", b"first", "application/json"))
        self.assertFalse(self.store.create("pictures", "results/a.json", b"second", "application/json"))
        self.assertEqual((self.root / "results/a.json").read_bytes(), b"first")
        self.assertEqual(self.results(), ["results/a.json"], "and nothing else is left behind")

    def test_a_file_system_without_hard_links_will_do(self):
        with mock.patch("os.link", side_effect=PermissionError(1, "no links here")):
            self.assertTrue(self.store.create("pictures", "results/a.json", b"first", "application/json"))
            self.assertFalse(self.store.create("pictures", "results/a.json", b"second", "application/json"))
        self.assertEqual((self.root / "results/a.json").read_bytes(), b"first")

    def test_a_full_disk_is_tried_again(self):
        with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")), self.assertRaises(StoreError):
            self.store.create("pictures", "results/a.json", b"first", "application/json")
        self.assertEqual(self.results(), [])


def _record(key):
    item = {"eventName": "ObjectCreated:Put", "eventSource": "vedette:dir"}
    return {**item, "s3": {"bucket": {"name": "pictures"}, "object": {"key": key}}}
