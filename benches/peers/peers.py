"""CPU milliseconds per frame of Vedette and its peers on the same MJPEG frames, in alternating runs.

What is counted: for `vedette analyze`, `vedette run` and motion the whole process, start-up included
(getrusage of the child); for OpenCV and for our own JPEG reader alone their loop over frames that are
in memory, because Python's start-up is not OpenCV's. The minimum is the figure, because other work on
the machine can only add to it.
"""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from frames import Camera, jpegs

HERE = os.path.dirname(os.path.abspath(__file__))

# Motion as lean as it goes: no pictures, no films, no streams, no web server.
MOTION_CONF = """
daemon off
setup_mode off
log_level 6
log_file {log}
target_dir {dir}
netcam_url http://127.0.0.1:{port}/camera
netcam_keepalive off
width {width}
height {height}
framerate {fps}
picture_output off
movie_output off
snapshot_interval 0
text_left
text_right
stream_port 0
webcontrol_port 0
"""


# A whole agent that analyses every frame, keeps few pictures and stores them in a directory.
RUN_CONF = """
[device]
id = "bench-1"
[camera.street]
analyse_fps = 1000
[camera.street.files]
path = "{clip}"
pace = "{fps}fps"
[camera.street.motion]
[destination.dir]
path = "{dir}/store"
[spool]
path = "{dir}/spool"
[clock]
trust = "always"
[control]
socket = "{dir}/control.sock"
"""


def child_cpu(command, **options):
    """Runs a command to its end; its output and the CPU seconds of it and its children."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out, stdin=subprocess.DEVNULL, **options)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"{command[0]} ended with {child.returncode}")
        out.seek(0)
        return out.read().decode(), usage.ru_utime + usage.ru_stime


def vedette(args):
    text, cpu = child_cpu([args.vedette, "analyze", "--json", args.clip])
    summary = json.loads(text.splitlines()[-1])["summary"]
    if summary["analysed"] != summary["frames"]:
        raise SystemExit(f"not every frame was analysed: {summary}")
    note = f"{summary['events']} events; {summary['cpu_ms_per_frame']:.3f} by its own account"
    return cpu * 1000 / summary["frames"], note


def daemon(args, fps, frames):
    with tempfile.TemporaryDirectory() as folder:
        conf, log = os.path.join(folder, "vedette.toml"), os.path.join(folder, "log")
        with open(conf, "w") as file:
            file.write(RUN_CONF.format(clip=os.path.abspath(args.clip), fps=fps, dir=folder))
        with open(log, "w+") as file:
            child = subprocess.Popen(
                [args.vedette, "run", "--config", conf, "--state-dir", folder],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
            time.sleep(frames / fps)
            status = subprocess.run(
                [args.vedette, "status", "--json", "--socket", os.path.join(folder, "control.sock")],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            child.send_signal(signal.SIGTERM)
            _, code, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(code)
            if child.returncode != 0 or status.returncode != 0:
                file.seek(0)
                raise SystemExit(f"vedette run ended with {child.returncode}: {file.read()[-2000:]}")
    status = json.loads(status.stdout)
    camera = status["cameras"]["street"]
    # The last frame may still have been looked at.
    if camera["analysed"] < camera["frames"] - 1:
        raise SystemExit(f"not every frame was analysed: {camera}")
    note = f"{camera['analysed']} frames, {status['ledger']['stored']} pictures stored"
    return (usage.ru_utime + usage.ru_stime) * 1000 / camera["frames"], note


def reader(args):
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", "firstpass", "--", "--clip"]
    command += [os.path.abspath(args.clip), str(args.frames)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return told["reader_ms"], f"whole first pass {told['first_pass_ms']:.3f}"


def opencv(args):
    command = [sys.executable, os.path.join(HERE, "opencv.py"), args.clip, str(args.frames)]
    cpu, version, moving = child_cpu(command)[0].split()
    return float(cpu), f"OpenCV {version}; {moving} frames with motion"


def motion(args, fps, frames):
    size = re.search(r"(\d+)x(\d+)", args.size)
    with tempfile.TemporaryDirectory() as folder:
        camera, log = Camera(frames, fps), os.path.join(folder, "motion.log")
        conf = os.path.join(folder, "motion.conf")
        with open(conf, "w") as file:
            file.write(
                MOTION_CONF.format(
                    log=log, dir=folder, port=camera.port, fps=fps, width=size[1], height=size[2]
                )
            )
        child = subprocess.Popen(
            ["motion", "-n", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        served = camera.done.wait(60 + len(frames) / fps)
        child.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        with open(log) as file:
            said = file.read()
        if not served:
            raise SystemExit(f"motion took {camera.sent} of {len(frames)} frames: {said[-2000:]}")
        version = re.search(r"Motion (\d+\.\d+\.\d+)", said)
        events = said.count("Motion detected - starting event")
    cpu = usage.ru_utime + usage.ru_stime
    return cpu * 1000 / camera.sent, f"motion {version[1] if version else '?'}; {events} events"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--clip", required=True, help="MJPEG AVI")
    parser.add_argument("--vedette", required=True, help="the release binary")
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of each (default 3)")
    parser.add_argument("--frames", type=int, default=1000, help="frames for OpenCV (default 1000)")
    parser.add_argument("--live", type=int, default=300, help="frames of the live runs (default 300)")
    parser.add_argument("--size", default="1920x1080", help="size of the clip's frames")
    parser.add_argument("--only", default="", help="comma-separated part of the peers' names")
    args = parser.parse_args()

    live = jpegs(args.clip, args.live)
    peers = {
        "vedette analyze": vedette,
        "vedette run at 15 fps": lambda a: daemon(a, 15, args.live),
        "its JPEG reader alone": reader,
        "OpenCV reduced-8 + MOG2": opencv,
        "motion at 15 fps": lambda a: motion(a, 15, live),
        "motion at 5 fps": lambda a: motion(a, 5, live),
    }
    wanted = args.only.split(",")
    peers = {name: run for name, run in peers.items() if any(w in name for w in wanted)}
    figures, notes = {name: [] for name in peers}, {}
    for turn in range(args.runs):
        for name, run in peers.items():
            figure, notes[name] = run(args)
            figures[name].append(figure)
            print(f"run {turn + 1}: {name}: {figure:.3f} ms", file=sys.stderr, flush=True)

    mean = sum(map(len, live)) / len(live)
    print(f"\nCPU ms per {args.size} MJPEG frame of {mean / 1000:.0f} kB, {args.runs} alternating runs, ")
    print(f"{os.cpu_count()} cores, {platform.machine()}\n")
    print("| | minimum | median | × vedette | |\n|---|---|---|---|---|")
    ours = min(figures.get("vedette analyze") or [float("nan")])
    for name, found in figures.items():
        least, middle = min(found), statistics.median(found)
        print(f"| {name} | {least:.3f} | {middle:.3f} | {least / ours:.1f} | {notes[name]} |")


if __name__ == "__main__":
    main()
