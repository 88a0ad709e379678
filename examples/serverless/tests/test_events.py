"""Every shape of event, as it is recorded or as its provider documents it."""

import json
import random
import unittest
from collections import Counter

from tests.support import shapes
from vedette_events import EventError, normalise

SHAPES = shapes()


def found(event, headers=None):
    return [{**vars(new), "time": new.time and new.time.isoformat()} for new in normalise(event, headers)]


class EveryShape(unittest.TestCase):
    counts = Counter()

    @classmethod
    def tearDownClass(cls):
        print("\nevents per shape:", ", ".join(f"{shape} {count}" for shape, count in sorted(cls.counts.items())))

    def test_what_the_other_tests_rest_on_is_there(self):
        self.assertEqual(len(SHAPES), 12)
        self.assertTrue(all(shape["cases"] for shape in SHAPES.values()))


def _of_shape(shape, told):
    def test(self):
        for case in told["cases"]:
            with self.subTest(case["name"]):
                self.counts[shape] += 1
                event, headers = case["event"], case.get("headers")
                self.assertEqual(found(event, headers), case["expect"])
                # As text and as bytes, and with headers in any case.
                loud = {name.upper(): value for name, value in (headers or {}).items()}
                self.assertEqual(found(json.dumps(event), loud), case["expect"])
                self.assertEqual(found(json.dumps(event, ensure_ascii=False).encode(), headers), case["expect"])

    return test


for _shape, _told in SHAPES.items():
    setattr(EveryShape, f"test_{_shape.replace('-', '_')}", _of_shape(_shape, _told))


class Keys(unittest.TestCase):
    def test_whether_a_key_is_encoded_is_decided_by_who_told(self):
        looks_encoded = "a+b%20c/%25.jpg"
        record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": looks_encoded}}}
        for source, key in {
            "aws:s3": "a b c/%.jpg",
            "minio:s3": "a b c/%.jpg",
            "somebody:s3": "a b c/%.jpg",
            "ceph:s3": looks_encoded,
            "vedette:dir": looks_encoded,
        }.items():
            with self.subTest(source):
                [new] = normalise({"Records": [{**record, "eventSource": source}]})
                self.assertEqual(new.key, key)

    def test_keys_of_the_contract_survive_every_encoding(self):
        key = "v1/porch-1/front/2026/11/22/101530.123Z-motion-00001042-703564d18073abb2.jpg"
        for source in ("aws:s3", "ceph:s3"):
            record = {"eventName": "ObjectCreated:Put", "eventSource": source}
            record["s3"] = {"bucket": {"name": "b"}, "object": {"key": key}}
            self.assertEqual(normalise({"Records": [record]})[0].key, key)


class Garbage(unittest.TestCase):
    def test_it_is_an_error_that_says_what_was_expected(self):
        for event in [
            b"", b"\xff\xfe", "no json", "[", b"null", "3", None, 7, "true", {}, {"a": 1}, [1], [None],
            {"Records": [3]}, {"Records": [{}]}, {"Records": [{"s3": 5}]}, {"events": [5]},
            {"type": "com.amazonaws.s3.ObjectCreated:Put", "specversion": "1.0"},
            {"type": "com.amazonaws.s3.ObjectCreated:Put", "specversion": "1.0", "data": [1]},
            {"type": "com.amazonaws.s3.ObjectCreated:Put", "specversion": "1.0", "data_base64": "?"},
        ]:
            with self.subTest(repr(event)), self.assertRaises(EventError) as raised:
                normalise(event)
            self.assertRegex(str(raised.exception), "expected|Base64|no JSON")

    def test_a_key_that_is_missing_empty_or_no_text_is_named(self):
        record = {"eventName": "ObjectCreated:Put", "eventSource": "aws:s3"}
        for item, said in [({}, "is missing, expected text"), ({"key": ""}, "is empty"), ({"key": 5}, "is int, expected text")]:
            with self.assertRaises(EventError) as raised:
                normalise({"Records": [{**record, "s3": {"bucket": {"name": "b"}, "object": item}}]})
            self.assertEqual(str(raised.exception), f"Records[0]: s3.object.key {said}")
        with self.assertRaisesRegex(EventError, "not UTF-8"):
            normalise({"Records": [{**record, "s3": {"bucket": {"name": "b"}, "object": {"key": "%ff"}}}]})

    def test_endless_wrapping_ends(self):
        event = {"Type": "Notification", "Message": "{}"}
        for _ in range(20):
            event = {"Type": "Notification", "Message": json.dumps(event)} if len(json.dumps(event)) < 1e6 else event
        with self.assertRaisesRegex(EventError, "more than 5 times"):
            normalise(event)
        with self.assertRaises(EventError):
            normalise("[" * 100_000)

    def test_no_mutilated_event_raises_anything_else(self):
        """Each case with one value after the other replaced by something absurd."""
        absurd = [None, 0, -1, 1.5, True, "", "x", "%ff", [], [[]], {}, {"a": {}}, "{", "[]", "{}"]
        chance, tried = random.Random(4), 0
        for told in SHAPES.values():
            for case in told["cases"][:6]:
                text = json.dumps(case["event"])
                for path in list(_paths(case["event"])):
                    for value in chance.sample(absurd, 3):
                        event = json.loads(text)
                        _put(event, path, value)
                        tried += 1
                        try:
                            normalise(event, case.get("headers"))
                        except EventError:
                            pass
        self.assertGreater(tried, 3_000)


def _paths(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _paths(inner, (*path, name))


def _put(value, path, new):
    for name in path[:-1]:
        value = value[name]
    value[path[-1]] = new
