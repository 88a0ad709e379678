"""An exec camera on an RTSP server that dies again and again. Run by tests/exec/rtsp."""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

OUT = pathlib.Path("target/rtsp")
DOWN = 3  # seconds without a server, each time
SHOWN = 16  # pictures on the contact sheet

CONFIG = """\
device.id = "rtsp-test"
clock.trust = "always"
control.socket = "{out}/control.sock"
spool.path = "{out}/spool"
destination.dir.path = "{out}/objects"

[camera.gate]
interval = "1s"

[camera.gate.motion]
every = "1s"

[camera.gate.exec]
command = [
  "ffmpeg", "-nostdin", "-loglevel", "warning", "-rtsp_transport", "tcp", "-timeout", "5000000",
  "-i", "rtsp://me:not-for-logs@127.0.0.1:{port}/street", "-an", "-f", "mjpeg", "-q:v", "5", "-",
]
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(port, clip):
    command = ["/usr/bin/python3", "-B", "tests/exec/rtsp_server.py", str(port), clip]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if server.stdout.readline() != b"ready\n":
        raise SystemExit("the RTSP server does not start; run tools/setup rtsp")
    return server


def processes():
    """(pid, state, parent, group) of all."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state, parent, group = (folder / "stat").read_text().rpartition(") ")[2].split()[:3]
        except (OSError, ValueError):
            continue
        yield int(folder.name), state, int(parent), int(group)


class Watch:
    """What is seen of the agent's children from outside."""

    def __init__(self, agent):
        self.agent, self.groups, self.dead, self.zombies, self.leaks = agent, set(), {}, set(), set()

    def look(self):
        now, dead = time.monotonic(), set()
        for pid, state, parent, _ in processes():
            if parent != self.agent.pid:
                continue
            self.groups.add(pid)
            if state == "Z":
                dead.add(pid)
                # Its end is noticed within a turn of the camera's loop; a zombie is there for longer.
                if now - self.dead.setdefault(pid, now) > 1:
                    self.zombies.add(pid)
            else:
                self.files(pid)
        self.dead = {pid: since for pid, since in self.dead.items() if pid in dead}

    def files(self, pid):
        """Files of the agent's that a child has open."""
        for link in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if "spool" in target or (target.startswith("socket:") and int(link.name) < 3):
                self.leaks.add(target)

    def orphans(self):
        return [pid for pid, state, _, group in processes() if group in self.groups and state != "Z"]


def status(vedette, out):
    said = subprocess.run([vedette, "status", "--json", "--socket", f"{out}/control.sock"],
                          capture_output=True, check=False)  # fmt: skip
    return json.loads(said.stdout) if said.returncode in (0, 1) and said.stdout else None


def captured(picture):
    """Seconds of the time in the key: …/yyyy/mm/dd/hhmmss.mmmZ-…"""
    day, clock = "".join(picture.parts[-4:-1]), picture.name.split("Z-")[0]
    return datetime.datetime.strptime(day + clock, "%Y%m%d%H%M%S.%f").timestamp()


def contact_sheet(pictures):
    folder = OUT / "shown"
    folder.mkdir()
    step = max(1, len(pictures) // SHOWN)
    for number, picture in enumerate(pictures[::step][:SHOWN]):
        shutil.copy(picture, folder / f"{number:02}.jpg")
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", f"{folder}/%02d.jpg",
                    "-vf", "scale=384:-1,tile=4x4", "-frames:v", "1", f"{OUT}/sheet.png"],
                   check=True)  # fmt: skip


def run(args, agent, port, watch):
    """Ends the server again and again; returns the number of times and the last status."""
    server, restarts = start_server(port, args.clip), 0
    end = time.monotonic() + 60 * args.minutes
    turn = time.monotonic() + args.every
    try:
        while time.monotonic() < end:
            time.sleep(0.2)
            watch.look()
            if agent.poll() is not None:
                raise SystemExit(f"vedette ended by itself with {agent.returncode}, see {OUT}/vedette.log")
            if server.poll() is None and time.monotonic() >= turn:
                how = signal.SIGKILL if restarts % 2 == 0 else signal.SIGTERM
                server.send_signal(how)
                server.wait(10)
                restarts += 1
                turn = time.monotonic() + DOWN
                print(f"rtsp: server ended by {how.name}", file=sys.stderr)
            elif server.poll() is not None and time.monotonic() >= turn:
                server = start_server(port, args.clip)
                turn = time.monotonic() + args.every - DOWN
        return restarts, status(args.vedette, OUT)
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=60, help="seconds between the server's ends")
    parser.add_argument("--vedette", default="target/debug/vedette")
    args = parser.parse_args()

    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "objects").mkdir(parents=True)
    port, out = free_port(), OUT.resolve()
    (OUT / "vedette.toml").write_text(CONFIG.format(out=out, port=port))
    with open(OUT / "vedette.log", "w") as log:
        agent = subprocess.Popen(
            [args.vedette, "run", "--config", f"{OUT}/vedette.toml", "--state-dir", f"{OUT}/state"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        watch = Watch(agent)
        try:
            restarts, last = run(args, agent, port, watch)
            agent.send_signal(signal.SIGTERM)
            code = agent.wait(30)
        finally:
            agent.kill()
            agent.wait()
    report(restarts, last, code, watch)


def report(restarts, last, code, watch):
    time.sleep(1)  # what the agent killed has a moment to be gone
    orphans = watch.orphans()
    pictures = sorted(OUT.glob("objects/**/*.jpg"), key=captured)
    times = [captured(picture) for picture in pictures]
    gap = max((b - a for a, b in zip(times, times[1:])), default=0)
    camera, run_, ledger = last["cameras"]["gate"], last["run"], last["ledger"]
    secrets = (OUT / "vedette.log").read_text().count("not-for-logs")
    contact_sheet(pictures)
    print(f"""\
server restarts     {restarts}
pictures stored     {len(pictures)}
frames              {camera["frames"]}, gaps {camera["gaps"]}, unusable {camera["skipped"]}
camera reopened     {camera["reopened"]}, {len(watch.groups)} processes in all
longest gap         {gap:.1f} s between pictures
this run            chosen {run_["chosen"]} = kept {run_["kept"]} + refused {run_["refused"]} + in hand {run_["in_hand"]}: {run_["holds"]}
the spool           kept {ledger["kept"]} = stored {ledger["stored"]} + queued {ledger["queued"]} + lost {ledger["lost"]}: {ledger["holds"]}
zombies seen        {len(watch.zombies)}
orphans left        {len(orphans)}
agent's files open  {len(watch.leaks)} in its children
passwords in logs   {secrets}
vedette's status    {code} after SIGTERM
contact sheet       {OUT}/sheet.png""")
    well = (
        code == 0 and run_["holds"] and ledger["holds"] and camera["reopened"] >= restarts - 1
        and len(pictures) > 10 and not (watch.zombies or orphans or watch.leaks or secrets)
    )  # fmt: skip
    if not well:
        raise SystemExit("rtsp: FAILED")


main()
