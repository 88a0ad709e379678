"""Size of the binary, and milliseconds from exec to systemd's READY=1, which comes after the spool is
open and the cameras are started. A new spool each time: making one costs more flushes than opening one.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time

CONFIG = """
[device]
id = "start-1"
[camera.street]
interval = "1s"
analyse_fps = 1000
[camera.street.files]
path = "{clip}"
[destination.dir]
path = "{dir}/store"
[spool]
path = "{dir}/spool"
[control]
socket = "{dir}/control.sock"
"""


def start(args, folder, conf):
    """Seconds to READY."""
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = os.path.join(folder, "notify.sock")
    notify.bind(path)
    notify.settimeout(30)
    began = time.monotonic()
    child = subprocess.Popen(
        [args.vedette, "run", "--config", conf, "--state-dir", folder],
        env={"NOTIFY_SOCKET": path}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while b"READY=1" not in notify.recv(4096):
            pass
        took = time.monotonic() - began
        child.send_signal(signal.SIGTERM)
        if child.wait(30) != 0:
            raise SystemExit(f"vedette ended with {child.returncode}")
    finally:
        child.kill()
        child.wait()
        notify.close()
        os.unlink(path)
    return took * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--clip", required=True)
    parser.add_argument("--vedette", required=True, help="the release binary")
    parser.add_argument("--runs", type=int, default=9)
    args = parser.parse_args()
    first, again = [], []
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="vedette-start-") as folder:
            conf = os.path.join(folder, "vedette.toml")
            with open(conf, "w") as file:
                file.write(CONFIG.format(clip=args.clip, dir=folder))
            first.append(start(args, folder, conf))
            again.append(start(args, folder, conf))
    print("\n| | |\n|---|---|")
    print(f"| stripped binary | {os.path.getsize(args.vedette) / 1e6:.2f} MB |")
    for name, times in (("first start", first), ("next start", again)):
        print(f"| {name}, ms to READY: minimum, median | {min(times):.0f}, {statistics.median(times):.0f} |")


main()
