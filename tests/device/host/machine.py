"""One virtual machine: its disk, behind powerloss.py, and QEMU.

The disk lives as long as the machine, over boots and cuts. `boot` runs one boot up to its end, orderly or not.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from servers import child, end

HERE = Path(__file__).resolve().parent.parent
START_WITHIN_S = 240
POLL_S = 0.1
# A few pictures' worth: every state that the spool's disk passes through has its chance.
CUT_WITHIN_WRITES = 200


def accelerator():
    """/dev/kvm alone is not enough: some hosts have it and hang, so the processor must say so too."""
    words = Path("/proc/cpuinfo").read_text().split()
    if os.access("/dev/kvm", os.W_OK) and ("vmx" in words or "svm" in words):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "max"]


# clocksource=hpet: an emulated processor's time stamp counter is calibrated while a busy host holds the guest
# up, and its seconds then pass up to three times too fast for cameras and the watchdog.
APPEND = ("console=ttyS0 panic=-1 net.ifnames=0 mitigations=off clocksource=hpet tsc=unstable no_timer_check "
          "nowatchdog quiet systemd.show_status=0")


class Machine:
    """A machine with a disk of its own."""

    def __init__(self, image, share, folder, seed):
        self.image, self.share, self.folder, self.seed = Path(image), Path(share), Path(folder), seed
        self.chance = random.Random(seed)
        self.boots = 0
        self.begun_twice = 0
        self.qemu = self.disk = None
        self.was_cut = False
        self.counts = []
        # A socket's path has 108 bytes at most.
        self.sockets = tempfile.mkdtemp(prefix="vedette-device-")
        subprocess.run(["cp", "--sparse=always", self.image / "root.ext4", self.folder / "disk"], check=True)

    def close(self):
        self.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)
        (self.folder / "disk").unlink(missing_ok=True)

    @property
    def serial(self):
        return self.folder / f"serial-{self.boots}.log"

    def boot(self, turn, limit_s):
        """One boot: calls `turn` again and again until the machine is off. What it was like is the answer:
        `off`, `cut`, `hung` (not off within the limit) or `dead` (never reached user space, twice)."""
        self.boots += 1
        ended = self.once(turn, limit_s)
        if ended == "dead":
            self.begun_twice += 1
            self.serial.rename(self.serial.with_suffix(".first.log"))
            ended = self.once(turn, limit_s)
        return ended

    def once(self, turn, limit_s):
        self.was_cut = False
        (self.share / "rc").unlink(missing_ok=True)
        self.start()
        begun = time.monotonic()
        started = False
        try:
            while self.qemu.poll() is None:
                turn()
                if self.was_cut and self.disk.poll() is not None:
                    return "cut"
                started = started or self.reached_user_space()
                past = time.monotonic() - begun
                if past > (limit_s if started else START_WITHIN_S):
                    return "hung" if started else "dead"
                time.sleep(POLL_S)
            turn()
            if self.was_cut:
                return "cut"
            if (self.share / "rc").exists():
                return "off"
            return "hung" if self.reached_user_space() else "dead"
        finally:
            self.stop()

    def reached_user_space(self):
        return self.serial.exists() and b"DEVICE-TEST start" in self.serial.read_bytes()

    def start(self):
        path = f"{self.sockets}/disk-{self.boots}-{self.begun_twice}"
        self.disk = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, HERE / "powerloss.py", self.folder / "disk", path,
             "--seed", str(self.seed + self.boots)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.disk.stdout.readline() != "ready\n":
            raise RuntimeError("the disk does not start")
        self.qemu = child(
            ["qemu-system-x86_64", *accelerator(), "-smp", "2", "-m", "768",
             "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{self.serial}",
             "-kernel", self.image / "vmlinuz", "-initrd", self.image / "initrd.img", "-append", APPEND,
             "-drive", f"file=nbd:unix:{path},format=raw,if=virtio,cache=writeback",
             "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-rng-pci",
             "-virtfs", f"local,path={self.share},mount_tag=host,security_model=none"],
            self.folder / "qemu.log")

    def cut(self):
        """Arms the disk: it loses its power right after one of its next writes."""
        self.was_cut = True
        self.disk.stdin.write(f"cut {self.chance.randint(1, CUT_WITHIN_WRITES)}\n")
        self.disk.stdin.flush()

    def stop(self):
        """Whatever still runs of this boot. The disk goes first at a cut, and last otherwise."""
        if self.qemu is not None and self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
        if self.disk is not None:
            try:
                said, _ = self.disk.communicate("", timeout=60)
                if said.strip():
                    self.counts.append(json.loads(said))
            except subprocess.TimeoutExpired:
                end(self.disk)
        self.qemu = self.disk = None
