"""Runs the agent on a looping clip against a real store and watches its memory from outside.

Anonymous memory is `Anonymous` of /proc/PID/smaps_rollup; what the agent holds as buffers on purpose
(the pictures in hand) is bounded by `memory.in_hand`, which is set low here. The slope is the least
squares line through all samples after the warm-up.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from store import ACCESS, BUCKET, REGION, SECRET, Store  # noqa: E402

CONFIG = """
[device]
id = "soak-1"
[camera.street]
interval = "1s"
analyse_fps = 1000
[camera.street.files]
path = "{clip}"
pace = "{fps}fps"
repeat = true
[camera.street.motion]
every = "500ms"
[destination.s3]
endpoint = "{endpoint}"
bucket = "{bucket}"
region = "{region}"
provider = "seaweedfs"
style = "path"
credentials_file = "store.credentials"
ca_file = "{ca}"
[spool]
path = "{folder}/spool"
[memory]
in_hand = "8 MiB"
[clock]
trust = "always"
[control]
socket = "{folder}/control.sock"
"""
KEYS = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"


def memory(pid):
    """Anonymous and resident KiB, and the number of threads and descriptors."""
    fields = {}
    for path in ("smaps_rollup", "status"):
        with open(f"/proc/{pid}/{path}") as file:
            for line in file:
                name, _, rest = line.partition(":")
                fields[name] = rest.split()[0] if rest.split() else ""
    return [int(fields[n]) for n in ("Anonymous", "Rss", "Threads")] + [len(os.listdir(f"/proc/{pid}/fd"))]


def cpu(pid):
    """CPU seconds so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slope(samples):
    """Least squares, KiB an hour."""
    n = len(samples)
    mt, my = sum(t for t, _ in samples) / n, sum(y for _, y in samples) / n
    spread = sum((t - mt) ** 2 for t, _ in samples)
    return 3600 * sum((t - mt) * (y - my) for t, y in samples) / spread


def watch(child, args, log):
    """Samples until the time is over, or the frames: (seconds, anonymous, rss, threads, descriptors)."""
    samples, start = [], time.monotonic()
    folder = os.path.dirname(log.name)
    while True:
        now = time.monotonic() - start
        if args.frames and samples and looked_at(args.vedette, folder) >= args.frames:
            return samples
        if not args.frames and now >= args.seconds:
            return samples
        time.sleep(args.every if args.frames else min(args.every, args.seconds - now))
        if child.poll() is not None:
            log.seek(0)
            raise SystemExit(f"vedette ended by itself with {child.returncode}:\n{log.read()[-4000:]}")
        samples.append((time.monotonic() - start, *memory(child.pid)))
        print("%6.0f s  anonymous %d KiB, resident %d KiB, %d threads, %d descriptors" % samples[-1],
              file=sys.stderr)  # fmt: skip


def looked_at(vedette, folder):
    """Frames analysed so far."""
    ask = [vedette, "status", "--json", "--socket", os.path.join(folder, "control.sock")]
    text = subprocess.run(ask, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(text)["cameras"]["street"]["analysed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--clip", required=True)
    parser.add_argument("--vedette", required=True, help="the release binary")
    parser.add_argument("--seconds", type=float, default=600, help="length (default 600)")
    parser.add_argument("--every", type=float, default=5, help="seconds between samples (default 5)")
    parser.add_argument("--fps", type=int, default=15, help="frames a second (default 15)")
    parser.add_argument("--frames", type=int, help="so many frames, however long that takes")
    args = parser.parse_args()

    with Store() as store, tempfile.TemporaryDirectory(prefix="vedette-soak-") as folder:
        with open(os.path.join(folder, "vedette.toml"), "w") as file:
            file.write(CONFIG.format(
                clip=args.clip, fps=args.fps, folder=folder, endpoint=store.https, bucket=BUCKET,
                region=REGION, ca=store.ca,
            ))  # fmt: skip
        keys = os.open(os.path.join(folder, "store.credentials"), os.O_WRONLY | os.O_CREAT, 0o600)
        with open(keys, "w") as file:
            file.write(KEYS.format(ACCESS, SECRET))
        with open(os.path.join(folder, "vedette.log"), "w+") as log:
            child = subprocess.Popen(
                [args.vedette, "run", "--config", file_name(folder), "--state-dir", folder],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                samples = watch(child, args, log)
                spent, seen = cpu(child.pid), looked_at(args.vedette, folder)
                child.send_signal(signal.SIGTERM)
                code = child.wait(30)
            finally:
                child.kill()
                child.wait()
            log.seek(0)
            said = log.read()
            if code != 0:
                raise SystemExit(f"vedette stopped with {code}:\n{said[-4000:]}")
        stored = store.objects()

    lasted = samples[-1][0]
    warm = [s for s in samples if s[0] > lasted * 0.2] or samples
    anonymous = [s[1] for s in warm]
    name = os.path.basename(args.clip)
    print(f"\n{lasted:.0f} s of {name} at up to {args.fps} fps: {seen} frames analysed, {stored} pictures stored ", end="")
    print("over https\n")
    print("| | |\n|---|---|")
    print(f"| anonymous memory, least and most | {min(anonymous)} KiB, {max(anonymous)} KiB |")
    print(f"| its slope after the warm-up | {slope([s[:2] for s in warm]):+.0f} KiB/h |")
    print(f"| resident at the end | {warm[-1][2]} KiB |")
    print(f"| threads, descriptors at the end | {warm[-1][3]}, {warm[-1][4]} |")
    print(f"| CPU | {spent:.1f} s, {100 * spent / lasted:.1f} % of one core, ", end="")
    print(f"{1000 * spent / seen:.2f} ms per frame |")
    steps = [max(a for t, a in ((s[0], s[1]) for s in samples) if t <= lasted * k / 10) for k in range(1, 11)]
    print(f"| most anonymous memory by each tenth of the time | {', '.join(map(str, steps))} KiB |")
    if stored == 0:
        raise SystemExit(f"nothing was stored: {said[-4000:]}")


def file_name(folder):
    return os.path.join(folder, "vedette.toml")


main()
