"""CPU milliseconds per frame of Vedette and its peers on the same frames, in alternating runs.

What is counted: for `vedette analyze`, ffmpeg and GStreamer the whole process, start-up included (getrusage of the
child); for `vedette run` and motion, which look at a live stream for years, the whole process from some frames after
the start to the last frame, start-up told apart; for OpenCV and for our own JPEG reader alone their loop over frames
that are in memory, because Python's start-up is not OpenCV's. The minimum is the figure, because other work on
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


def cpu_of(pid):
    """CPU seconds of a live process, threads that ended included: its own clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


# Frames after which a live process is past its start: it has learnt the scene.
SETTLED = 45


def vedette(args):
    size = ["--size", args.size] if args.raw else []
    text, cpu = child_cpu([args.vedette, "analyze", "--json", *size, args.clip])
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
            ask = [args.vedette, "status", "--json", "--socket", os.path.join(folder, "control.sock")]

            def looked_at():
                """The camera's status and the CPU so far, taken one after the other."""
                text = subprocess.run(ask, stdout=subprocess.PIPE, text=True, check=True).stdout
                return json.loads(text), cpu_of(child.pid)

            time.sleep(SETTLED / fps)
            first, cpu_first = looked_at()
            time.sleep((frames - SETTLED) / fps)
            status, cpu = looked_at()
            child.send_signal(signal.SIGTERM)
            _, code, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(code)
            if child.returncode != 0:
                file.seek(0)
                raise SystemExit(f"vedette run ended with {child.returncode}: {file.read()[-2000:]}")
    camera = status["cameras"]["street"]
    began = first["cameras"]["street"]["frames"]
    # The last frame may still have been looked at.
    if camera["analysed"] < camera["frames"] - 1:
        raise SystemExit(f"not every frame was analysed: {camera}")
    whole = usage.ru_utime + usage.ru_stime
    note = f"{camera['analysed']} frames, {status['ledger']['stored']} pictures stored; start and stop besides: "
    per_frame = (cpu - cpu_first) / (camera["frames"] - began)
    return per_frame * 1000, note + f"{(whole - per_frame * camera['frames']) * 1000:.0f} ms"


def reader(args, frames, fps=None):
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", "firstpass", "--", "--clip"]
    command += [os.path.abspath(args.clip), str(frames)] + ([str(fps)] if fps else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return told["reader_ms"], f"whole first pass {told['first_pass_ms']:.3f}"


def opencv(args):
    command = [sys.executable, os.path.join(HERE, "opencv.py"), args.clip, str(args.frames)]
    command += [args.size] if args.raw else []
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
        while camera.sent < SETTLED and child.poll() is None:
            time.sleep(0.2)
        began, cpu_first = camera.sent, cpu_of(child.pid)
        served = camera.done.wait(60 + len(frames) / fps)
        sent, cpu = camera.sent, cpu_of(child.pid)
        child.send_signal(signal.SIGTERM)
        child.wait()
        with open(log) as file:
            said = file.read()
        if not served:
            raise SystemExit(f"motion took {camera.sent} of {len(frames)} frames: {said[-2000:]}")
        version = re.search(r"Motion (\d+\.\d+\.\d+)", said)
        events = said.count("Motion detected - starting event")
    return (cpu - cpu_first) * 1000 / (sent - began), f"motion {version[1] if version else '?'}; {events} events"


def ffmpeg(args, *decoder):
    """Its scene filter, which compares whole pictures; one thread, because two cost more."""
    shape = ["-f", "rawvideo", "-pixel_format", "yuyv422", "-video_size", args.size] if args.raw else []
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-threads", "1", *shape, *decoder]
    command += ["-i", args.clip, "-frames:v", str(args.frames), "-filter_threads", "1"]
    # Every frame is judged and none is put out: the select filter's own figure is printed for each.
    command += ["-vf", "select='gte(scene,0)',metadata=print:key=lavfi.scene_score:file=-"]
    text, cpu = child_cpu([*command, "-an", "-f", "null", os.devnull])
    judged = text.count("lavfi.scene_score")
    if judged < args.frames - 1:
        raise SystemExit(f"ffmpeg judged {judged} of {args.frames} frames")
    return cpu * 1000 / args.frames, f"{judged} frames judged"


def gstreamer(args):
    """Its motioncells, which want RGB."""
    if args.raw:
        width, height = args.size.split("x")
        source = ["filesrc", f"location={args.clip}", "!", "rawvideoparse", "format=yuy2"]
        source += [f"width={width}", f"height={height}"]
    else:
        source = ["filesrc", f"location={args.clip}", "!", "avidemux", "!", "jpegdec"]
    sink = ["!", "videoconvert", "!", "motioncells", "!", "fakesink", "sync=false"]
    _, cpu = child_cpu(["gst-launch-1.0", "-q", *source, *sink])
    return cpu * 1000 / args.whole, f"{args.whole} frames"


def peers_of(args):
    if args.raw:
        return {
            "vedette analyze": vedette,
            "OpenCV, luma averaged to 1/8, MOG2": opencv,
            "ffmpeg scene": ffmpeg,
            "GStreamer motioncells": gstreamer,
        }
    live = jpegs(args.clip, args.live)
    return {
        "vedette analyze": vedette,
        "vedette run at 15 fps": lambda a: daemon(a, 15, args.live),
        "vedette run at 5 fps": lambda a: daemon(a, 5, args.live),
        "its JPEG reader alone": lambda a: reader(a, a.frames),
        "its JPEG reader alone, at 15 fps": lambda a: reader(a, a.live, 15),
        "its JPEG reader alone, at 5 fps": lambda a: reader(a, a.live, 5),
        "OpenCV reduced-8 + MOG2": opencv,
        "ffmpeg -lowres 3, scene": lambda a: ffmpeg(a, "-lowres", "3"),
        "ffmpeg scene": ffmpeg,
        "GStreamer motioncells": gstreamer,
        "motion at 15 fps": lambda a: motion(a, 15, live),
        "motion at 5 fps": lambda a: motion(a, 5, live),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--clip", required=True, help="MJPEG AVI, or a file of raw YUYV frames (.yuyv)")
    parser.add_argument("--vedette", required=True, help="the release binary")
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of each (default 3)")
    parser.add_argument("--frames", type=int, help="frames for OpenCV and ffmpeg (default: all)")
    parser.add_argument("--live", type=int, default=300, help="frames of the live runs (default 300)")
    parser.add_argument("--size", default="1920x1080", help="size of the clip's frames")
    parser.add_argument("--only", default="", help="comma-separated part of the peers' names")
    args = parser.parse_args()
    args.raw = args.clip.endswith(".yuyv")
    args.whole = 250 if args.raw else 1000  # what tools/footage makes
    args.frames = args.frames or args.whole

    wanted = args.only.split(",")
    peers = {name: run for name, run in peers_of(args).items() if any(w in name for w in wanted)}
    figures, notes = {name: [] for name in peers}, {}
    for turn in range(args.runs):
        for name, run in peers.items():
            figure, notes[name] = run(args)
            figures[name].append(figure)
            print(f"run {turn + 1}: {name}: {figure:.3f} ms", file=sys.stderr, flush=True)

    mean = os.path.getsize(args.clip) / args.whole
    kind = os.path.basename(args.clip)
    print(f"\nCPU ms per {args.size} frame of {mean / 1000:.0f} kB ({kind}), {args.runs} alternating runs, ")
    print(f"{os.cpu_count()} cores, {platform.machine()}\n")
    print("| | minimum | median | × vedette | |\n|---|---|---|---|---|")
    ours = min(figures.get("vedette analyze") or [float("nan")])
    for name, found in figures.items():
        least, middle = min(found), statistics.median(found)
        print(f"| {name} | {least:.3f} | {middle:.3f} | {least / ours:.1f} | {notes[name]} |")


if __name__ == "__main__":
    main()
