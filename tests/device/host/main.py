"""The driver of the virtual device: which scenarios, in which boots, and what became of them.

`tests/device/run` starts it; docs/device.md describes it. All that it writes is below target/device/RUN.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import plan
import results
from asks import Asks
from machine import Machine
from servers import Broker, Store

HERE = Path(__file__).resolve().parent.parent
REPO = HERE.parent.parent
# Tools, image and results are there, wherever cargo builds.
TARGET = REPO / "target"
# Behind all limits of the guest's own.
BOOT_LIMIT_S = 5400


def options():
    parser = argparse.ArgumentParser(prog="tests/device/run", description="Runs scenarios in the virtual device.")
    parser.add_argument("names", nargs="+", metavar="SET|SCENARIO", help="see tests/device/{sets,scenarios}")
    parser.add_argument("--times", type=int, default=1, help="run them so often, on the same device")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the power cuts' chances")
    return parser.parse_args()


def share_of(folder):
    """The guest's /host: what goes in, and room for what comes back."""
    share = folder / "share"
    (share / "in").mkdir(parents=True)
    for name in ("guest", "lib", "probe"):
        shutil.copy(HERE / name, share / "in")
    shutil.copytree(HERE / "scenarios", share / "in/scenarios")
    shutil.copytree(HERE / "config", share / "in/config")
    shutil.copytree(REPO / "systemd", share / "in/systemd")
    return share


def tools(share):
    """Packages, and what feeds the MJPEG camera: pedestrians on a street, as a webcam would show them."""
    into = share / "in"
    subprocess.run([HERE / "package", into / "vedette.deb"], check=True)
    subprocess.run(["cc", "-O2", "-o", into / "feed", HERE / "feed.c"], check=True)
    clip = subprocess.run([REPO / "tools/footage", "vtest"], check=True, capture_output=True, text=True).stdout.strip()
    (into / "frames").mkdir()
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-ss", "2", "-i", clip, "-frames:v", "150", "-c", "copy",
                    "-f", "image2", into / "frames/%03d.jpg"], check=True)


class Run:
    """One run of the driver: one machine, some boots."""

    def __init__(self, folder, names, times, seed):
        self.folder, self.begun = folder, time.monotonic()
        self.steps = plan.steps(names, times)
        self.trouble, self.remarks, self.shown = {}, [f"seed {seed}"], {}
        shutil.rmtree(folder, ignore_errors=True)
        self.share = share_of(folder)
        tools(self.share)
        for name in {step.name for step in self.steps}:
            if (HERE / f"scenarios/{name}.host").exists():
                subprocess.run([HERE / f"scenarios/{name}.host", self.share / "in"], check=True)
        self.store = Store(folder / "servers/store", TARGET / "tools/venv/bin/weed")
        self.broker = Broker(folder / "servers/broker", folder / "heard.txt")
        (self.share / "in/hosts").write_text(
            f"STORE=http://10.0.2.2:{self.store.port}\nBROKER=mqtt://10.0.2.2:{self.broker.port}\n")
        self.machine = Machine(TARGET / "device/image", self.share, folder, seed)
        self.asks = Asks(self.share, self.store, self.broker, self.machine)

    def close(self):
        for server in (self.machine, self.broker, self.store):
            try:
                (server.close if server is self.machine else server.stop)()
            except Exception as error:
                print(f"device: {error}", file=sys.stderr)

    def turn(self):
        self.asks.serve()
        self.show()

    def show(self):
        """New lines of all checks, as they come."""
        for step in self.steps:
            file = self.share / step.label / "checks.txt"
            text = file.read_text(errors="replace") if file.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            for line in whole[self.shown.get(step.label, 0) :].splitlines():
                if not line.startswith(("BEGUN", "ENDED")):
                    print(f"{step.label:<14} {line}", flush=True)
            self.shown[step.label] = len(whole)

    def go(self):
        ahead = plan.Ahead(self.steps)
        while parts := ahead.next_boot():
            self.asks.clear()
            (self.share / "plan").write_text("".join(f"{part.label} {part.script}\n" for part in parts))
            ended = self.machine.boot(self.turn, BOOT_LIMIT_S)
            begun = [part for part in parts if self.was_begun(part)]
            if ended not in ("off", "cut"):
                blamed = begun[-1] if begun else parts[0]
                words = "the device hung" if ended == "hung" else "the device never reached user space, twice"
                self.trouble.setdefault(blamed.label, []).append(f"{words} in boot {self.machine.boots}")
            self.split_serial()
            ahead.booted(parts, begun, ended)
        if self.machine.begun_twice:
            self.remarks.append("ONE BOOT WAS BEGUN TWICE: the guest never reached user space at first; "
                                f"see {self.folder}/serial-*.first.log")
        if self.machine.boots:
            self.remarks.append(f"{self.machine.boots} boots; the disk: {self.machine.counts}")

    def was_begun(self, part):
        file = self.share / part.label / "checks.txt"
        return file.exists() and f"BEGUN {part.script}\n" in file.read_text(errors="replace")

    def split_serial(self):
        text = self.machine.serial.read_text(errors="replace") if self.machine.serial.exists() else ""
        for label, lines in results.by_label(text).items():
            folder = self.share / label
            if folder.is_dir():
                with open(folder / "serial.txt", "a") as file:
                    file.write(lines)

    def report(self):
        verdicts = []
        for step in self.steps:
            back, home = self.share / step.label, self.folder / step.label
            if back.is_dir():
                back.rename(home)
            file = home / "checks.txt"
            text = file.read_text(errors="replace") if file.exists() else ""
            verdicts.append(results.read(step.label, text, self.trouble.get(step.label, ())))
        shutil.rmtree(self.share / "in", ignore_errors=True)
        said = results.summary(verdicts, self.remarks, time.monotonic() - self.begun)
        (self.folder / "summary.txt").write_text(said + "\n")
        print("\n" + said + f"\ndevice: logs are in {self.folder}" * (not all(v.well for v in verdicts)), flush=True)
        return all(v.well for v in verdicts)


def main():
    # Stopped from outside, it still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = options()
    folder = TARGET / "device" / plan.name_of(chosen.names)
    run = None
    try:
        run = Run(folder, chosen.names, chosen.times, chosen.seed)
        run.go()
    except plan.Unknown as error:
        sys.exit(f"device: {error}")
    finally:
        if run is not None:
            run.close()
    return 0 if run.report() else 1


if __name__ == "__main__":
    sys.exit(main())
