#!/usr/bin/env python3
"""A disk that can lose its power: an NBD server over a unix socket, in front of an image file.

    powerloss.py IMAGE SOCKET [--seed N]

What is written stays in the disk's volatile cache, in memory, until it is flushed (or written through, FUA);
only then is it in IMAGE. A line on standard input tells the rest:

    cut N     lose the power right after the N-th write from now (0: now); at the latest after 20 seconds
    end       orderly: all goes into IMAGE

At the cut each cached write, in the order in which they came, survives whole, or in part (any of its 512-byte
sectors), or not at all. One JSON object with the counts is printed at the end. This is stricter than killing a
virtual machine, whose host still writes all that its disk was given: it finds a missing flush and a
missing barrier as well as a missing fsync.

The file stands for the medium; that the real machine loses its power is not what is tried here.
`Disk` is the model, pure but for its file; `serve` is the protocol. tests/device/test_powerloss.py tests both.
"""

import argparse
import json
import os
import random
import socket
import struct
import sys
import threading

SECTOR = 512
PAGE = 4096
LATEST_CUT_S = 20.0


class Disk:
    """An image behind a volatile write cache."""

    def __init__(self, path, rng):
        self.fd = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.fd).st_size
        self.rng = rng
        self.pages = {}  # page number -> its newest content, where that is not in the file yet
        self.cached = []  # (offset, bytes) of writes that are not in the file yet, in their order
        self.counts = dict.fromkeys(["reads", "writes", "through", "flushes", "survived", "torn", "lost"], 0)

    def read(self, offset, length):
        """What the machine sees: the newest content."""
        self.counts["reads"] += 1
        out = bytearray(os.pread(self.fd, length, offset))
        for number in range(offset // PAGE, -(-(offset + length) // PAGE)) if self.pages else ():
            page = self.pages.get(number)
            if page is not None:
                start, end = max(offset, number * PAGE), min(offset + length, (number + 1) * PAGE)
                out[start - offset : end - offset] = page[start - number * PAGE : end - number * PAGE]
        return bytes(out)

    def write(self, offset, data, through=False):
        """Takes a write; with `through` it is durable when this returns."""
        self.counts["writes"] += 1
        if through:
            self.counts["through"] += 1
            if any(o < offset + len(data) and offset < o + len(d) for o, d in self.cached):
                # Older writes of the same place must not come back over it.
                self._remember(offset, data)
                return self.flush()
            os.pwrite(self.fd, data, offset)
            return self._patch(offset, data)
        self._remember(offset, data)

    def flush(self):
        """All that was written is durable."""
        self.counts["flushes"] += 1
        for number, page in self.pages.items():
            os.pwrite(self.fd, page, number * PAGE)
        self.pages.clear()
        self.cached.clear()

    def cut(self):
        """The power goes: of the cache, some survives. The disk is dead afterwards."""
        for offset, data in self.cached:
            fate = self.rng.random()
            if fate < 0.4:
                self.counts["lost"] += 1
            elif fate < 0.8 or len(data) <= SECTOR:
                self.counts["survived"] += 1
                os.pwrite(self.fd, data, offset)
            else:
                self.counts["torn"] += 1
                for at in range(0, len(data), SECTOR):
                    if self.rng.random() < 0.5:
                        os.pwrite(self.fd, data[at : at + SECTOR], offset + at)
        self.pages.clear()
        self.cached.clear()

    def _remember(self, offset, data):
        self.cached.append((offset, data))
        at = 0
        while at < len(data):
            number, inside = divmod(offset + at, PAGE)
            length = min(PAGE - inside, len(data) - at)
            page = self.pages.get(number)
            if page is None:
                page = self.pages[number] = bytearray(os.pread(self.fd, PAGE, number * PAGE).ljust(PAGE, b"\0"))
            page[inside : inside + length] = data[at : at + length]
            at += length

    def _patch(self, offset, data):
        """A durable write also shows where its page has cached neighbours."""
        for number in range(offset // PAGE, -(-(offset + len(data)) // PAGE)):
            if number in self.pages:
                start, end = max(offset, number * PAGE), min(offset + len(data), (number + 1) * PAGE)
                self.pages[number][start - number * PAGE : end - number * PAGE] = data[start - offset : end - offset]


class Gone(Exception):
    """The other side has left."""


class Link:
    """One client: exact reads."""

    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile("rb", 1 << 20)

    def take(self, length):
        data = self.file.read(length)
        if len(data) != length:
            raise Gone
        return data

    def send(self, data):
        self.connection.sendall(data)


# NBD's numbers, as its protocol names them.
FIXED_NEWSTYLE, NO_ZEROES, HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 2, 1, 4, 8
OPT_EXPORT_NAME, OPT_ABORT, OPT_INFO, OPT_GO = 1, 2, 6, 7
REP_ACK, REP_INFO, REP_UNSUPPORTED = 1, 3, 0x80000001
CMD_READ, CMD_WRITE, CMD_DISCONNECT, CMD_FLUSH = 0, 1, 2, 3
REQUEST, REPLY, FUA, INVALID = 0x25609513, 0x67446698, 1, 22


def negotiate(link, size):
    """Up to where requests begin."""
    flags = HAS_FLAGS | SEND_FLUSH | SEND_FUA
    link.send(b"NBDMAGICIHAVEOPT" + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
    (client,) = struct.unpack(">I", link.take(4))

    def answer(option, kind, data=b""):
        link.send(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data)

    while True:
        _, option, length = struct.unpack(">QII", link.take(16))
        link.take(length)
        if option == OPT_EXPORT_NAME:
            return link.send(struct.pack(">QH", size, flags) + (b"" if client & NO_ZEROES else bytes(124)))
        if option in (OPT_INFO, OPT_GO):
            answer(option, REP_INFO, struct.pack(">HQH", 0, size, flags))
            answer(option, REP_ACK)
            if option == OPT_GO:
                return None
        elif option == OPT_ABORT:
            answer(option, REP_ACK)
            raise Gone
        else:
            answer(option, REP_UNSUPPORTED)


class Machine:
    """The disk with its switch: requests and the cut do not happen at the same time."""

    def __init__(self, disk):
        self.disk = disk
        self.lock = threading.Lock()
        self.ahead = None  # how many writes there are still to be before the cut

    def end(self, cut):
        """Under the lock: the last thing that happens."""
        self.disk.cut() if cut else self.disk.flush()
        print(json.dumps({"cut": cut, **self.disk.counts}), flush=True)
        os._exit(0)

    def order(self, words):
        """A line of standard input; its end is the end."""
        if words[:1] == ["cut"]:
            with self.lock:
                self.ahead = int(words[1]) if len(words) > 1 else 0
                if self.ahead == 0:
                    self.end(cut=True)
            threading.Timer(LATEST_CUT_S, self.latest).start()
        elif words[:1] in ([], ["end"]):
            with self.lock:
                self.end(cut=False)

    def latest(self):
        with self.lock:
            self.end(cut=True)

    def request(self, link):
        """One request and its answer; `False` at the end."""
        magic, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", link.take(28))
        if magic != REQUEST or kind == CMD_DISCONNECT:
            return False
        data = link.take(length) if kind == CMD_WRITE else b""
        error, out = 0, b""
        with self.lock:
            if kind == CMD_READ:
                out = self.disk.read(offset, length)
            elif kind == CMD_WRITE:
                self.disk.write(offset, data, through=bool(flags & FUA))
                if self.ahead is not None:
                    self.ahead -= 1
                    if self.ahead == 0:
                        self.end(cut=True)
            elif kind == CMD_FLUSH:
                self.disk.flush()
            else:
                error = INVALID
            link.send(struct.pack(">IIQ", REPLY, error, handle) + out)
        return True


def serve(disk, path):
    """Serves one client after the other until it is told to end."""
    machine = Machine(disk)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def orders():
        for line in sys.stdin:
            machine.order(line.split())
        machine.order(["end"])

    threading.Thread(target=orders, daemon=True).start()
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        link = Link(connection)
        try:
            negotiate(link, disk.size)
            while machine.request(link):
                pass
        except (Gone, OSError):
            pass
        connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image")
    parser.add_argument("socket")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    serve(Disk(options.image, random.Random(options.seed)), options.socket)
