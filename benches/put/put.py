"""CPU milliseconds per PUT of s5cmd and of Vedette's uploader, alternating, to one SeaweedFS.

Vedette's side is `cargo bench --bench put`, which reads PUT_ENDPOINT, PUT_BUCKET, PUT_REGION,
PUT_ACCESS_KEY, PUT_SECRET_KEY, PUT_CA, PUT_PREFIX, PUT_COUNT, PUT_BYTES and PUT_CONCURRENCY, and ends
with one JSON line about itself; of s5cmd the whole process is counted (its start-up is below 1 % of
1000 PUTs). The store's own CPU is nobody's.
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
    return {"cpu_ms_per_put": cpu, "puts_per_s": args.count / took, "objects": args.count}


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
    return told


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
                    found.setdefault((scheme, name), []).append(figures)
                    cpu = figures["cpu_ms_per_put"]
                    print(f"run {turn + 1}: {name} {scheme}: {cpu:.3f} ms", file=sys.stderr)
        wanted = sum(f["objects"] for figures in found.values() for f in figures)
        if store.objects() != wanted:
            raise SystemExit(f"{store.objects()} objects stored, not {wanted}")
    print_cpu(found, args)
    if args.only != "s5cmd":
        print_parts(found)
        print_times(found)


def middle(figures, name):
    return statistics.median(f[name] for f in figures)


def print_cpu(found, args):
    print(f"\nCPU ms per PUT of {args.bytes} bytes, {args.concurrency} at once, ", end="")
    print(f"{args.runs} alternating runs of {args.count}; every object counted in the store\n")
    print("| | minimum | median | × vedette | PUTs/s, best |\n|---|---|---|---|---|")
    for (scheme, name), figures in sorted(found.items(), reverse=True):
        least = min(f["cpu_ms_per_put"] for f in figures)
        ours = min((f["cpu_ms_per_put"] for f in found.get((scheme, "vedette"), [])), default=float("nan"))
        best = max(f["puts_per_s"] for f in figures)
        print(f"| {name}, {scheme} | {least:.3f} | {middle(figures, 'cpu_ms_per_put'):.3f} ", end="")
        print(f"| {least / ours:.1f} | {best:.0f} |")


def print_parts(found):
    """Where Vedette's CPU goes, each part measured in the same process."""
    print("\nVedette's CPU ms per PUT by parts, minima\n")
    print("| | from the spool to durably removed | PUT out of memory | limit | × limit |\n|---|---|---|---|---|")
    for scheme in ("https", "http"):
        figures = found[(scheme, "vedette")]
        whole, puts, limit = (
            min(f[f"{part}cpu_ms_per_put"] for f in figures) for part in ("", "attempts_", "limit_")
        )
        print(f"| {scheme} | {whole:.3f} | {puts:.3f} | {limit:.3f} | {whole / limit:.2f} |")


def print_times(found):
    print("\nMilliseconds for one picture at a time, medians of the runs\n")
    print("| | handed over to stored, p50 | p99 | one fsync + one bare PUT, p50 | × |\n|---|---|---|---|---|")
    for scheme in ("https", "http"):
        figures = found[(scheme, "vedette")]
        names = ("stored_ms_p50", "stored_ms_p99", "bare_ms_p50")
        half, most, bare = (middle(figures, name) for name in names)
        print(f"| {scheme} | {half:.1f} | {most:.1f} | {bare:.1f} | {half / bare:.2f} |")


main()
