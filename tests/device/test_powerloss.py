"""Tests of the disk that loses its power: python3 -m unittest discover -s tests/device"""

import os
import random
import subprocess
import sys
import tempfile
import unittest

from powerloss import Disk

BLOCK = 4096


class Model(unittest.TestCase):
    def setUp(self):
        self.file = tempfile.NamedTemporaryFile()
        self.file.truncate(64 * BLOCK)

    def tearDown(self):
        self.file.close()

    def disk(self, seed=1):
        disk = Disk(self.file.name, random.Random(seed))
        self.addCleanup(os.close, disk.fd)
        return disk

    def medium(self, block):
        with open(self.file.name, "rb") as file:
            file.seek(block * BLOCK)
            return file.read(BLOCK)

    def test_what_is_not_flushed_is_read_but_not_on_the_medium(self):
        disk = self.disk()
        disk.write(BLOCK + 100, b"x" * BLOCK)
        self.assertEqual(disk.read(BLOCK + 99, 3), b"\0xx")
        self.assertEqual(disk.read(2 * BLOCK + 99, 2), b"x\0")
        self.assertEqual(self.medium(1), bytes(BLOCK))

    def test_what_was_flushed_survives_every_cut(self):
        for seed in range(50):
            disk = self.disk(seed)
            disk.write(0, bytes([seed + 1]) * BLOCK)
            disk.flush()
            disk.write(BLOCK, b"y" * BLOCK)
            disk.cut()
            self.assertEqual(self.medium(0), bytes([seed + 1]) * BLOCK)

    def test_an_unflushed_write_is_lost_torn_or_kept(self):
        seen = set()
        for seed in range(60):
            disk = self.disk(seed)
            disk.write(0, bytes(BLOCK), through=True)
            disk.write(0, b"z" * BLOCK)
            disk.cut()
            count = self.medium(0).count(b"z")
            self.assertEqual(count % 512, 0)
            seen.add("lost" if count == 0 else "kept" if count == BLOCK else "torn")
        self.assertEqual(seen, {"lost", "kept", "torn"})

    def test_a_write_through_is_durable_and_takes_no_other_with_it(self):
        lost = 0
        for seed in range(30):
            disk = self.disk(seed)
            disk.write(5 * BLOCK, bytes(BLOCK), through=True)
            disk.write(5 * BLOCK, b"a" * BLOCK)
            disk.write(6 * BLOCK, b"b" * BLOCK, through=True)
            disk.cut()
            self.assertEqual(self.medium(6), b"b" * BLOCK)
            lost += self.medium(5) == bytes(BLOCK)
        self.assertGreater(lost, 0)

    def test_an_older_write_never_comes_back_over_a_newer_durable_one(self):
        for seed in range(30):
            disk = self.disk(seed)
            disk.write(0, b"old." * 1024)
            disk.write(512, b"n" * 512, through=True)
            disk.cut()
            self.assertEqual(self.medium(0)[512:1024], b"n" * 512)

    def test_a_durable_write_shows_beside_cached_ones_of_its_page(self):
        disk = self.disk()
        disk.write(0, b"c" * 512)
        disk.write(1024, b"t" * 512, through=True)
        self.assertEqual(disk.read(0, 1536), b"c" * 512 + bytes(512) + b"t" * 512)


class Server(unittest.TestCase):
    def test_an_orderly_end_writes_all_out(self):
        with tempfile.TemporaryDirectory() as folder:
            image = os.path.join(folder, "image")
            with open(image, "wb") as file:
                file.truncate(BLOCK)
            server = subprocess.run(
                [sys.executable, os.path.join(os.path.dirname(__file__), "powerloss.py"), image, folder + "/s"],
                input="end\n", capture_output=True, text=True, timeout=60, check=True)
            self.assertIn('"cut": false', server.stdout)


if __name__ == "__main__":
    unittest.main()
