"""What a large backlog costs: claims, starts, the rebuild of a lost index, draining, what people ask.

The backlog is laid down by the bench program (`benches/backlog.rs`) in the spool's own format. Everything else is the
agent's binary, run as a program beside a synthetic camera, and looked at from outside: its status, and its memory in
/proc/PID. Times are wall times and say little on a busy machine; CPU times and memory stand beside them.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

CONFIG = """
[device]
id = "backlog-1"
[camera.street]
interval = "1s"
[camera.street.scene]
size = "320x180"
fps = 5
[destination.{destination}]
{settings}
[spool]
path = "{spool}"
max_bytes = "100 GB"
[clock]
trust = "always"
[control]
socket = "{folder}/control.sock"
"""
AWAY = """endpoint = "http://127.0.0.1:9"
bucket = "nowhere"
region = "here-1"
credentials_file = "keys"
"""
TICK = os.sysconf("SC_CLK_TCK")


class Agent:
    """A running agent, and the most memory that it was seen with."""

    def __init__(self, args, folder, spool, store=None):
        self.args, self.folder, self.most = args, folder, (0, 0)
        with open(os.path.join(folder, "keys"), "w") as file:
            file.write("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
        os.chmod(file.name, 0o600)
        if store:
            os.makedirs(store, exist_ok=True)
        kind, settings = ("dir", f'path = "{store}"') if store else ("s3", AWAY)
        self.conf = os.path.join(folder, "vedette.toml")
        with open(self.conf, "w") as file:
            file.write(CONFIG.format(destination=kind, settings=settings, spool=spool, folder=folder))
        self.began = time.monotonic()
        self.log = open(os.path.join(folder, "log"), "a")
        self.child = subprocess.Popen(
            [args.vedette, "run", "--config", self.conf, "--state-dir", folder],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def status(self):
        """The status, or None where it cannot be had yet."""
        self.look()
        done = subprocess.run(
            [self.args.vedette, "status", "--json", "--socket", f"{self.folder}/control.sock"], capture_output=True, check=False
        )
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None

    def look(self):
        """Anonymous and resident KiB now."""
        if self.child.poll() is not None:
            raise SystemExit(f"the agent ended with {self.child.returncode}: see {self.log.name}")
        fields = {}
        with open(f"/proc/{self.child.pid}/smaps_rollup") as file:
            for line in file:
                name, _, rest = line.partition(":")
                fields[name] = rest.split()[0] if rest.split() else ""
        now = int(fields["Anonymous"]), int(fields["Rss"])
        self.most = tuple(map(max, self.most, now))

    def cpu(self):
        with open(f"/proc/{self.child.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def until(self, true, patience):
        """Seconds since the start until a status is as wished for, and that status."""
        while time.monotonic() - self.began < patience:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = self.status()
                if status and true(status):
                    return time.monotonic() - self.began, status
            time.sleep(0.02)
        raise SystemExit(f"waited {patience} s in vain; last: {self.status()}")

    def first_frame(self):
        return self.until(lambda s: s["cameras"]["street"]["frames"] > 0, 120)[0]

    def end(self, how=signal.SIGTERM):
        self.child.send_signal(how)
        self.child.wait(120)
        self.log.close()

    def memory(self):
        return f"{self.most[0] / 1024:.1f} MB, {self.most[1] / 1024:.1f} MB"


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def start(args, folder, spool, name):
    agent = Agent(args, folder, spool)
    first = agent.first_frame()
    cpu = agent.cpu()
    status = agent.until(lambda s: s["ledger"]["generation"] > 0, 60)[1]
    time.sleep(1)
    agent.look()
    row(name, f"{first:.2f}", f"{cpu:.2f}", status["ledger"]["queued"], agent.memory())
    return agent


def starts(args, folder, spool):
    print("\n| start | first frame seen, s | CPU until then, s | queued then | memory, most: anonymous, resident |")
    print("|---|---|---|---|---|")
    start(args, folder, spool, "as laid down").end()
    start(args, folder, spool, "after an orderly stop").end(signal.SIGKILL)
    start(args, folder, spool, "after `kill -9`").end()


def rebuild(args, folder, spool):
    for file in ("index.db", "index.db-wal", "index.db-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(spool, file))
    agent = start(args, folder, spool, "without its index")
    seen = []

    def over(status):
        told = status["ledger"].get("rebuilding")
        if told:
            seen.append(told["percent"])
        return not told and status["ledger"]["generation"] > 1

    took, status = agent.until(over, 3600)
    files = status["ledger"]["kept"]
    print(
        f"\nRebuilt {files} in {took:.0f} s, {files / took:.0f} a second; CPU {agent.cpu():.0f} s, uploads' tries and the "
        f"camera included. Status told {len(set(seen))} steps of progress. Memory, most: {agent.memory()}.\n"
    )
    agent.end()


def drain(args, folder, spool, seconds):
    store = os.path.join(folder, "store")
    agent = Agent(args, folder, spool, store)
    agent.first_frame()
    before, cpu = agent.status()["ledger"]["stored"], agent.cpu()
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        agent.look()
        time.sleep(0.5)
    stored, took = agent.status()["ledger"]["stored"] - before, time.monotonic() - began
    cpu = (agent.cpu() - cpu) / max(stored, 1)
    print(
        f"Drained into a directory for {took:.0f} s: {stored / took:.0f} a second, CPU {1000 * cpu:.2f} ms each. "
        f"Memory, most: {agent.memory()}.\n"
    )
    agent.end()
    shutil.rmtree(store, ignore_errors=True)


def people(args, folder, spool):
    """Each of the tools, without an agent, so that all of the work is in the one process."""
    print("| `vedette spool …` | s | CPU s | resident, most |\n|---|---|---|---|")
    conf = os.path.join(folder, "vedette.toml")
    for words in (
        ["ls", "--limit", "20"],
        ["ls", "--state", "quarantined"],
        ["ls", "--limit", "999999999"],
        ["check"],
        ["purge", "--camera", "front"],
        *([["purge", "--camera", "front", "--yes"]] if args.purge else []),
    ):
        command = ["/usr/bin/env", args.vedette, "spool", *words, "--config", conf]
        began = time.monotonic()
        with open(os.path.join(folder, "out"), "w") as out:
            child = subprocess.Popen(command, stdout=out, stderr=out)
            _, code, used = os.wait4(child.pid, 0)
        took = time.monotonic() - began
        if code:
            raise SystemExit(f"{command} failed: see {out.name}")
        row("`" + " ".join(words) + "`", f"{took:.1f}", f"{used.ru_utime + used.ru_stime:.1f}", f"{used.ru_maxrss / 1024:.1f} MB")


def lay(args, folder, name, pictures, size, removed=0):
    path = os.path.join(folder, name)
    if os.path.exists(path):
        return path
    os.mkdir(path, 0o700)
    subprocess.run([args.bench, "lay", path, str(pictures), str(size), str(removed)], check=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--vedette", required=True, help="the binary")
    parser.add_argument("--bench", required=True, help="the bench program")
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1024, help="bytes; 0 is JPEGs of 100 kB")
    parser.add_argument("--real", action="store_true", help="a tenth as many JPEGs of 100 kB as well")
    parser.add_argument("--drain", type=int, default=20, help="seconds")
    parser.add_argument("--purge", action="store_true", help="purge half of it as well, at the end")
    parser.add_argument("--folder", help="where to lay it down, and keep it")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = args.folder or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="backlog.", dir="target/tmp")
        )
        # The agent takes its configuration's paths from where that file lies.
        folder = os.path.abspath(folder)
        few = lay(args, folder, "1000", 1000, args.size)
        many = lay(args, folder, str(args.pictures), args.pictures, args.size)
        holes = lay(args, folder, "with-holes", args.pictures // 2, args.size, args.pictures // 2)
        print()
        subprocess.run([args.bench, "claims", few, many, holes], check=True)
        shutil.rmtree(holes)
        for path, pictures in ((many, args.pictures), (None, args.pictures // 10)):
            if path is None and not args.real:
                break
            path = path or lay(args, folder, "real", pictures, 0)
            print(f"\n## {pictures} pictures")
            starts(args, folder, path)
            rebuild(args, folder, path)
            drain(args, folder, path, args.drain)
            people(args, folder, path)


if __name__ == "__main__":
    main()
