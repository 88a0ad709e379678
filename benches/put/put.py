"""CPU milliseconds per PUT of s5cmd and of Vedette's uploader, alternating, to one SeaweedFS.

Vedette's side is `cargo bench --bench put`, which reads PUT_ENDPOINT, PUT_BUCKET, PUT_REGION,
PUT_ACCESS_KEY, PUT_SECRET_KEY, PUT_CA, PUT_PREFIX, PUT_COUNT, PUT_BYTES and PUT_CONCURRENCY, and ends
with one JSON line {"puts":n,"cpu_ms_per_put":x,"puts_per_s":y} about itself; of s5cmd the whole process
is counted (its start-up is below 1 % of 1000 PUTs). The store's own CPU is nobody's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from store import ACCESS, BUCKET, REGION, SECRET, Store  # noqa: E402


def s5cmd(store, endpoint, prefix, args):
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.count):
            with open(os.path.join(folder, f"{number:06}.jpg"), "wb") as file:
                file.write(os.urandom(args.bytes))
        target = f"s3://{BUCKET}/{prefix}/"
        command, env = store.s5cmd_command(
            "--log", "error", "--numworkers", str(args.concurrency), "cp", f"{folder}/*", target,
            endpoint=endpoint,
        )  # fmt: skip
        start = time.monotonic()
        child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"s5cmd ended with {child.returncode}")
    cpu = (usage.ru_utime + usage.ru_stime) * 1000 / args.count
    return cpu, args.count / took


def vedette(store, endpoint, prefix, args):
    env = dict(
        os.environ, PUT_ENDPOINT=endpoint, PUT_BUCKET=BUCKET, PUT_REGION=REGION, PUT_ACCESS_KEY=ACCESS,
        PUT_SECRET_KEY=SECRET, PUT_CA=store.ca, PUT_PREFIX=prefix, PUT_COUNT=str(args.count),
        PUT_BYTES=str(args.bytes), PUT_CONCURRENCY=str(args.concurrency),
    )  # fmt: skip
    done = subprocess.run(
        ["cargo", "bench", "--locked", "--quiet", "--bench", "put"],
        env=env, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.strip().splitlines()[-1])
    if told["puts"] != args.count:
        raise SystemExit(f"not every PUT was stored: {told}")
    return told["cpu_ms_per_put"], told["puts_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=3, help="alternating runs (default 3)")
    parser.add_argument("--count", type=int, default=1000, help="PUTs a run (default 1000)")
    parser.add_argument("--bytes", type=int, default=100_000, help="bytes a PUT (default 100000)")
    parser.add_argument("--concurrency", type=int, default=8, help="PUTs at once (default 8)")
    parser.add_argument("--only", choices=["vedette", "s5cmd"], help="measure one side alone")
    args = parser.parse_args()

    sides = {"vedette": vedette, "s5cmd": s5cmd}
    sides = {n: f for n, f in sides.items() if args.only in (None, n)}
    found = {}
    with Store() as store:
        for turn in range(args.runs):
            for scheme, endpoint in (("http", store.http), ("https", store.https)):
                for name, side in sides.items():
                    figures = side(store, endpoint, f"v1/{name}/{scheme}/{turn}", args)
                    found.setdefault((name, scheme), []).append(figures)
                    print(f"run {turn + 1}: {name} {scheme}: {figures[0]:.3f} ms", file=sys.stderr)
        wanted = args.runs * args.count * 2 * len(sides)
        if store.objects() != wanted:
            raise SystemExit(f"{store.objects()} objects stored, not {wanted}")

    print(f"\nCPU ms per PUT of {args.bytes} bytes, {args.concurrency} at once, ", end="")
    print(f"{args.runs} alternating runs of {args.count}; {wanted} objects stored\n")
    print("| | minimum | median | PUTs/s, best | × vedette |\n|---|---|---|---|---|")
    for (name, scheme), figures in sorted(found.items(), key=lambda f: (f[0][1], f[0][0])):
        cpu = [f[0] for f in figures]
        ours = min((f[0] for f in found.get(("vedette", scheme), [])), default=float("nan"))
        best = max(f[1] for f in figures)
        print(f"| {name}, {scheme} | {min(cpu):.3f} | {statistics.median(cpu):.3f} ", end="")
        print(f"| {best:.0f} | {min(cpu) / ours:.1f} |")


main()
