"""What the guest asks of its host while a scenario runs: `host WORD...` in tests/device/lib.

The guest writes `ask/ID` into the share, one word a line, the first of them the scenario's label, and waits for
`answer/ID`: its first line is an exit status, the rest is printed. Questions are answered one after the other.

The store and the broker's log grow over a whole run. So a scenario has a mark, which `begin` makes (`host mark`):
what was there before belongs to others, and `count`, `newest`, `heard` and `labels` do not see it. A mark is its
label's, so that a second part after a reboot goes on with it; a label without one sees everything.
"""

import json
import re
import time
from dataclasses import dataclass

COMMAND_WITHIN_S = 120
TOPIC = "vedette/v1/gate"


@dataclass(frozen=True)
class Mark:
    """What was there before a scenario began: keys in the store, and how many lines of the device's."""

    keys: frozenset = frozenset()
    heard: int = 0


class Asks:
    """Answers what is in the share."""

    def __init__(self, share, store, broker, machine):
        self.ask, self.answer = share / "ask", share / "answer"
        self.share, self.store, self.broker, self.machine = share, store, broker, machine
        self.commands = 0
        self.marks, self.label = {}, None

    def clear(self):
        """Before a boot."""
        for folder in (self.ask, self.answer):
            folder.mkdir(exist_ok=True)
            for old in folder.iterdir():
                old.unlink()

    def serve(self):
        """Answers all that is asked now."""
        for file in [f for f in self.ask.iterdir() if f.suffix != ".new"]:
            self.label, *words = file.read_text().split("\n")[:-1]
            file.unlink()
            try:
                status, text = self.one(*words)
            except Exception as error:  # whatever it is, it is the check that fails by it
                status, text = 1, f"{type(error).__name__}: {error}"
            new = self.answer / f"{file.name}.new"
            new.write_text(f"{status}\n{text}\n" if text else f"{status}\n")
            new.rename(self.answer / file.name)

    def one(self, word, *words):
        """Status and text for one question; a method for each word."""
        method = getattr(self, "do_" + word.replace("-", "_"), None)
        return method(*words) if method else (2, f"the host does not know `{word}`")

    def do_start(self, name):
        {"store": self.store, "broker": self.broker}[name].start()
        return 0, ""

    def do_stop(self, name):
        {"store": self.store, "broker": self.broker}[name].stop()
        return 0, ""

    def do_cut(self):
        """The power goes within the next writes; what the guest is told last is that it will."""
        self.machine.cut()
        return 0, "armed"

    def do_was_cut(self):
        """Did the last boot end by a power cut? What the disk made of it is the answer."""
        last = self.machine.counts[-1:]
        return int(not (last and last[0]["cut"])), json.dumps(last)

    def do_mark(self):
        """From now on this scenario sees only what is new."""
        self.marks[self.label] = Mark(frozenset(self.store.keys()), len(self.said()))
        return 0, ""

    def mark(self):
        return self.marks.get(self.label, Mark())

    def keys(self, prefix):
        """Keys of the objects below a prefix that came since the mark."""
        return [key for key in self.store.keys(prefix) if key not in self.mark().keys]

    def do_heard(self, pattern):
        """Lines that the device said over MQTT since the mark."""
        lines = [line for line in self.said()[self.mark().heard:] if re.search(pattern, line)]
        return int(not lines), "\n".join(lines)

    def said(self):
        return self.broker.heard.read_text(errors="replace").splitlines() if self.broker.heard.exists() else []

    def do_send(self, op, arguments="{}"):
        """Sends a command and does not wait; its id is the answer."""
        self.commands += 1
        name = f"c{self.commands}-{time.time_ns()}"
        order = json.dumps({"id": name, "op": op, "args": json.loads(arguments), "ttl_s": 600})
        self.broker.publish(f"{TOPIC}/cmd/{name}", order)
        return 0, name

    def ends(self, name):
        """What was told of a command, by `seq`."""
        prefix = f"{TOPIC}/cmd/{name}/status "
        return [json.loads(line[len(prefix):]) for line in self.said() if line.startswith(prefix)]

    def do_command(self, op, arguments="{}"):
        """Sends a command and waits for its end; the end is the answer."""
        _, name = self.do_send(op, arguments)
        deadline = time.monotonic() + COMMAND_WITHIN_S
        while time.monotonic() < deadline:
            for told in self.ends(name):
                if told["status"] in ("succeeded", "failed", "timed-out", "rejected"):
                    return int(told["status"] != "succeeded"), json.dumps(told)
            time.sleep(0.2)
        return 1, f"{name} has no end after {COMMAND_WITHIN_S} s"

    def do_ended(self, name):
        """Has this command succeeded, and has the store each of its pictures?"""
        last = [told for told in self.ends(name) if told["status"] == "succeeded"]
        if not last:
            return 1, f"{name}: {[told['status'] for told in self.ends(name)]}"
        for picture in last[-1]["result"]["pictures"]:
            self.store.picture(picture["key"])
        return 0, ""

    def do_count(self, prefix=""):
        """How many objects the store got since the mark."""
        return 0, str(len(self.keys(prefix)))

    def do_picture(self, key, file):
        """Is this object a whole picture? It is copied to the share."""
        body, _ = self.store.picture(key)
        target = self.share / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        return 0, f"{len(body)} bytes"

    def do_newest(self, prefix, file):
        """The newest object below a prefix since the mark, likewise."""
        keys = self.keys(prefix)
        return self.do_picture(max(keys), file) if keys else (1, f"nothing new below {prefix}")

    def do_labels(self, file):
        """Which of the labels in a file of the share has no object? Every object since the mark is looked at."""
        wanted = set((self.share / file).read_text().split())
        for key in self.keys("v1/gate/"):
            _, metadata = self.store.picture(key)
            wanted.discard(metadata.get("trigger-label"))
        return int(bool(wanted)), "missing: " + " ".join(sorted(wanted)) if wanted else ""

    def do_formats(self, file):
        """Formats of /dev/video0 that Vedette reads, by their names in a configuration; from `vedette devices --json`."""
        cameras = json.loads((self.share / file).read_text())["cameras"]
        names = [offer["format"] for camera in cameras if camera["node"] == "/dev/video0"
                 for offer in camera["formats"] if offer["format"]]
        return int(not names), "\n".join(dict.fromkeys(names))

    def do_bars(self, label):
        """Are the colour bars in their colours, in every picture of a scenario's directory?"""
        import bars
        well, lines = bars.report(self.share / label)
        return int(not well), "\n".join(line for line in lines if not line.endswith("well")) or f"{len(lines)} pictures"
