"""The real function process and the real SeaweedFS: over HTTP, at once, with the store away, and by its own webhook."""

import hashlib
import json
import shutil
import tempfile
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from handler import Settings, handle
from store import NotFound, S3Store, StoreError
from tests.support import (
    PICTURES, Counting, Function, Seaweed, free_ports, manifest, motion_picture, pictures, servers, shapes, wait_for,
)
from vedette_events import ObjectCreated


class Servers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seaweed, cls.function = servers()

    def results(self, bucket):
        return self.seaweed.list(bucket, "results/")


def s3_event(bucket, *keys):
    records = [{"eventName": "ObjectCreated:Put", "eventSource": "aws:s3"} for _ in keys]
    for record, key in zip(records, keys):
        record["s3"] = {"bucket": {"name": bucket}, "object": {"key": key}}
    return {"Records": records}


class OverHttp(Servers):
    def test_every_shape_comes_to_the_same_result_and_garbage_to_400(self):
        key, body, meta = motion_picture()
        counts, lines = Counter(), {}
        for shape, told in shapes().items():
            for case in told["cases"]:
                ours = {(e["bucket"], e["key"]) for e in case["expect"] if e["key"] == key}
                for bucket, _ in ours:
                    self.seaweed.put(bucket, key, body, meta)
                    for one in self.results(bucket):
                        self.seaweed.client.delete_object(Bucket=bucket, Key=one)
                status, text, outcomes = self.function.post(case["event"], case.get("headers"))
                with self.subTest(shape=shape, case=case["name"]):
                    self.assertEqual((status, text), (204, ""))
                    self.assertEqual(sum(outcomes.values()), len({(e["bucket"], e["key"]) for e in case["expect"]}))
                    self.assertEqual(outcomes.get("done", 0), len(ours))
                for bucket, _ in ours:
                    [line] = [one for one in self.results(bucket) if one.endswith(".json")]
                    lines.setdefault(bucket, set()).add(self.seaweed.read(bucket, line))
                counts[shape] += 1
        print("\nevents over HTTP:", ", ".join(f"{shape} {count}" for shape, count in sorted(counts.items())))
        self.assertEqual({bucket: len(found) for bucket, found in lines.items()}, {"pictures": 1, "pictures-1250000000": 1})
        for garbage in (b"", b"{", b"[1]", b'{"hello": 1}'):
            status, text, _ = self.function.post(garbage)
            self.assertEqual(status, 400)
            self.assertIn("expected an event of AWS S3", text)
        status, text, _ = self.function.post(b"x" * (9 * 1024 * 1024))
        self.assertEqual(status, 413)

    def test_our_own_directory_and_the_agents_announcements(self):
        root = Path(self.enterContext(tempfile.TemporaryDirectory())) / "pictures"
        shutil.copytree(PICTURES, root)
        [port] = free_ports(1)
        function = Function(port, {"STORE": "dir", "STORE_DIR": str(root)})
        self.addCleanup(function.process.kill)
        for case in shapes()["vedette-dir"]["cases"] * 2:
            self.assertEqual(function.post(case["event"], case["headers"])[0], 204)
        found = [p for p in (root / "results").rglob("*") if p.is_file()]
        self.assertEqual(len(found), 2 * len(pictures()))


class AtOnce(Servers):
    def test_eight_threads_over_doubles_give_one_result_each(self):
        """Create-only is atomic here, so of all that write a result exactly one is told that it did."""
        twelve = list(pictures().items())[:12]
        for key, (body, meta) in twelve:
            self.seaweed.put("storm", key, body, meta)
        store = Counting(S3Store(**self.seaweed.settings))
        deliveries = [key for key, _ in twelve] * 8

        def deliver(key):
            return handle([ObjectCreated("storm", key, "test")], store, Settings())[0].status

        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(deliver, sorted(deliveries)))
        self.assertEqual(statuses, {"done": 12, "already": 84})
        self.assertEqual(sorted(store.created), sorted(self.results("storm")))
        self.assertEqual(len(store.created), 24)
        # Over HTTP in doubles, through the function's own threads: nothing is made again.
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda key: self.function.post(s3_event("storm", key)), deliveries[:31]))
        self.assertEqual({status for status, _, _ in answers}, {204})
        self.assertEqual(Counter(kind for _, _, told in answers for kind in told), {"already": 31})


class TheStoreAway(unittest.TestCase):
    """With a store and a function of its own: SeaweedFS's webhook does not survive what is done here."""

    def test_503_while_it_is_away_and_a_later_delivery_completes(self):
        hook, port = free_ports(2)
        seaweed = Seaweed(f"http://127.0.0.1:{hook}/")
        self.addCleanup(lambda: seaweed.process.kill())
        function = Function(port, seaweed.environment)
        self.addCleanup(function.process.kill)
        twelve = list(pictures().items())[:12]
        for key, (body, meta) in twelve:
            seaweed.put("outage", key, body, meta)
        keys = [key for key, _ in twelve]
        status, _, outcomes = function.post(s3_event("outage", *keys[:5]))
        self.assertEqual((status, outcomes), (204, {"done": 5}))
        seaweed.process.kill()
        status, text, _ = function.post(s3_event("outage", *keys[4:7]))
        self.assertEqual(status, 503)
        self.assertIn("3 to be tried again", text)
        seaweed.start()
        # As a platform does: again until it is taken. Back again, the store refuses some of it for a while.
        wait_for("a delivery that completes", lambda: function.post(s3_event("outage", *keys))[0] == 204)
        status, _, outcomes = function.post(s3_event("outage", *keys))
        self.assertEqual((status, outcomes), (204, {"already": 12}))
        told = [json.loads(line) for line in function.told().splitlines() if line.startswith("{")]
        done = [one["key"] for one in told if one.get("status") == "done"]
        self.assertEqual(sorted(done), keys, "each once, over all deliveries")
        self.assertEqual(len(seaweed.list("outage", "results/")), 24)


class TheWholeChain(Servers):
    def test_a_put_and_the_stores_own_webhook_give_results_and_nothing_sets_itself_off(self):
        put = {key: (body, meta, "image/jpeg") for key, (body, meta) in pictures().items()}
        key, body, meta = manifest()
        put[key] = (body, meta, "application/json")
        for key, (body, meta, kind) in put.items():
            self.seaweed.put("chain", key, body, meta, kind)
        expected = sorted(f"results/chain/{key}.json" for key in put)

        def lines():
            return [one for one in results() if one.endswith(".json")]

        def results():
            return [one for one in self.results("chain") if "/smoke/" not in one]

        wait_for("a line for each object", lambda: sorted(lines()) == expected)
        # The results were told of by the same webhook, and each was passed over.
        made = results()
        self.assertEqual(len(made), 2 * len(put) - 1)
        wait_for("the results' own events", lambda: all(
            f'"status": "skipped", "bucket": "chain", "key": "{one}"' in self.function.told() for one in made
        ))
        self.assertEqual(results(), made)
        self.assertFalse(self.seaweed.list("chain", "results/chain/results"))


class S3(Servers):
    def setUp(self):
        self.store = S3Store(**self.seaweed.settings)

    def test_create_get_and_exists_with_a_real_store(self):
        key = "results/test/a.json"
        self.seaweed.client.delete_object(Bucket="pictures", Key=key)
        self.assertFalse(self.store.exists("pictures", key))
        self.assertTrue(self.store.create("pictures", key, b"first", "application/json"))
        self.assertFalse(self.store.create("pictures", key, b"second", "application/json"))
        self.assertTrue(self.store.exists("pictures", key))
        found = self.store.get("pictures", key)
        self.assertEqual((found.body, found.content_type), (b"first", "application/json"))

    def test_metadata_come_back_as_they_were_put(self):
        key, body, meta = motion_picture()
        self.seaweed.put("pictures", key, body, meta)
        found = self.store.get("pictures", key)
        self.assertEqual(found.metadata, meta)
        self.assertEqual(hashlib.sha256(found.body).hexdigest(), meta["sha256"])

    def test_what_is_not_there_and_what_is_forbidden(self):
        with self.assertRaises(NotFound):
            self.store.get("pictures", "v1/not-there.jpg")
        with self.assertRaises(StoreError):
            self.store.get("no-such-bucket", "v1/a.jpg")
        stranger = S3Store(**{**self.seaweed.settings, "aws_secret_access_key": "wrong"})
        with self.assertRaises(StoreError):
            stranger.get("pictures", "v1/a.jpg")
        with self.assertRaises(StoreError):
            stranger.create("pictures", "results/a.json", b"", "application/json")
