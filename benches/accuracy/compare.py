"""Runs the programs over the clips, scores them, and says how they compare.

compare.py --clips DIR --vedette BINARY [--peers kept] [--quick] [--out docs/accuracy]

What the peers found is kept beside the clips, for `--peers kept`: they do not change when Vedette does.
"""

import argparse
import glob
import json
import os
import sys

import plot
import programs
import score

PEERS = ("motion 4.5", "OpenCV 1/8 + MOG2", "OpenCV 1/4 + MOG2")
OURS = "Vedette"


def clips_of(folder, beginnings):
    clips = []
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        if os.path.basename(path).startswith("found-"):
            continue
        with open(path) as file:
            clip = json.load(file)
        clip["path"] = path[:-5] + ".avi"
        if not beginnings or clip["clip"].startswith(tuple(beginnings)):
            clips.append(clip)
    if not clips:
        raise SystemExit(f"no clips in {folder}: run generate.py")
    return clips


def kept(folder, name, run, again):
    path = os.path.join(folder, f"found-{name.split()[0]}-{name.split()[1].replace('/', '')}.json")
    if not again and os.path.exists(path):
        with open(path) as file:
            return json.load(file)
    print(f"running {name}", file=sys.stderr, flush=True)
    found = run()
    with open(path + ".new", "w") as file:
        json.dump(found, file)
    os.replace(path + ".new", path)
    return found


def gather(args, clips):
    """{program: {settings: {clip: found}}}"""
    full = not args.quick
    if full and not args.names:
        ours = kept(args.clips, f"{OURS} sweep", lambda: programs.run_vedette(args.vedette, clips), not args.ours)
    else:
        ours = programs.run_vedette(args.vedette, clips, full)
    told = {OURS: ours}
    # What is kept of them is always the whole sweep over all clips.
    every = clips_of(args.clips, ())
    runs = {
        PEERS[0]: lambda: programs.run_motion(every, args.at_once),
        PEERS[1]: lambda: programs.run_opencv(every, 8),
        PEERS[2]: lambda: programs.run_opencv(every, 4),
    }
    for name, run in runs.items():
        if args.peers != "none" and name.startswith(tuple(args.only.split(","))):
            told[name] = kept(args.clips, name, run, args.peers == "again")
    return told


def tally(clip, found):
    """Of one clip: blocks, events, and when the false events were."""
    flags = [bool(boxes) for boxes in found["boxes"]]
    own = found.get("events")
    by_event, false = score.match(clip, own if own is not None else score.events(flags, clip["fps"]))
    return {"blocks": score.blocks(clip, found["boxes"]), "events": by_event, "false": false}


def tallies(clips, told):
    """{program: {settings: {clip: tally}}}"""
    return {
        program: {
            name: {c["clip"]: tally(c, found[c["clip"]]) for c in clips if c["clip"] in found}
            for name, found in sweep.items()
        }
        for program, sweep in told.items()
    }


def groups_of(clips):
    found = {}
    for clip in clips:
        found.setdefault(clip["group"], []).append(clip)
    return found


def judged_with(group, groups):
    """The clips by which a group is judged. One that wants no event is judged with the day's: what a setting
    must not tell of here it must still tell of there."""
    if any(c["events"] for c in groups[group]):
        return groups[group]
    return groups[group] + groups.get("day", [])


def total(scored, clips, what):
    return sum((scored[c["clip"]][what] for c in clips if c["clip"] in scored), score.Count())


def points(sweep, clips, what):
    """{settings: (recall, precision, f1)}"""
    found = {}
    for name, scored in sweep.items():
        count = total(scored, clips, what)
        found[name] = (count.recall, count.precision, count.f1)
    return found


def best(sweep, clips, what):
    """The settings with the best F1 over all clips."""
    told = points(sweep, clips, what)
    return max(told, key=lambda name: told[name][2])


def table(scored, clips, what):
    groups = groups_of(clips)
    yield f"| {what} | " + " | ".join(scored) + " |"
    yield "|---" * (len(scored) + 1) + "|"
    for group in list(groups) + ["all"]:
        chosen = clips if group == "all" else judged_with(group, groups)
        cells = []
        for sweep in scored.values():
            told = points(sweep, chosen, what)
            recall, precision, f1 = told["default"]
            top = max(p[2] for p in told.values())
            curve = score.area([p[:2] for p in told.values()])
            cells.append(f"{recall:.2f} / {precision:.2f} / {f1:.2f}; {top:.2f}; {curve:.2f}")
        yield f"| {group} | " + " | ".join(cells) + " |"


def confusion(scored, clips):
    """Per clip: events wanted; found and false by default and at the best settings of all clips together."""
    chosen = {p: ("default", best(sweep, clips, "events")) for p, sweep in scored.items()}
    yield "| clip | shows | wanted | " + " | ".join(scored) + " |"
    yield "|---" * (len(scored) + 3) + "|"
    sums = {p: [score.Count(), score.Count()] for p in scored}
    for clip in clips:
        cells = []
        for program, sweep in scored.items():
            cell = []
            for i, name in enumerate(chosen[program]):
                count = sweep[name][clip["clip"]]["events"]
                sums[program][i] += count
                cell.append(f"{count.hit}+{count.false}")
            cells.append(" / ".join(cell))
        yield f"| {clip['clip']} | {clip['shows']} | {len(clip['events'])} | " + " | ".join(cells) + " |"
    cells = [" / ".join(f"{c.hit}+{c.false}" for c in sums[p]) for p in scored]
    yield f"| **all** | | {sum(len(c['events']) for c in clips)} | " + " | ".join(cells) + " |"
    yield ""
    for program, names in chosen.items():
        yield f"- {program} at its best: {names[1]}"


def draw(folder, scored, clips):
    """Precision over recall, a diagram for each group, by block and by event."""
    groups = groups_of(clips)
    for what in ("events", "blocks"):
        panels = []
        for group in ["all", *groups]:
            chosen = clips if group == "all" else judged_with(group, groups)
            panels.append(plot.panel(group, {p: points(sweep, chosen, what) for p, sweep in scored.items()}))
        plot.sheet(os.path.join(folder, f"{what}.png"), panels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--clips", required=True)
    parser.add_argument("--vedette", required=True, help="the binary")
    parser.add_argument("--peers", choices=("kept", "again", "none"), default="kept")
    parser.add_argument("--only", default="motion,OpenCV", help="beginnings of the peers' names")
    parser.add_argument("--ours", action="store_true", help="take what was kept of Vedette's last run, too")
    parser.add_argument("--quick", action="store_true", help="defaults only, no sweep")
    parser.add_argument("--at-once", type=int, default=16, help="clips that motion watches at a time")
    parser.add_argument("--false", action="store_true", help="also tell when Vedette's false events were, by default")
    parser.add_argument("--out", help="directory for the diagrams")
    parser.add_argument("names", nargs="*", help="clips, or beginnings of their names (default: all)")
    args = parser.parse_args()
    clips = clips_of(args.clips, args.names)
    scored = tallies(clips, gather(args, clips))
    for what in ("events", "blocks"):
        print(f"\n{what}: recall / precision / F1 by default; best F1; area below the curve\n")
        print("\n".join(table(scored, clips, what)))
    print("\nevents found + false ones, by default / at its best\n")
    print("\n".join(confusion(scored, clips)))
    if args.out:
        os.makedirs(args.out, exist_ok=True)
        draw(args.out, scored, clips)
    if args.false:
        for clip in clips:
            told = scored[OURS]["default"][clip["clip"]]
            if told["false"] or told["events"].missed:
                print(f"{clip['clip']}: wanted {clip['events']}, false {told['false']}, missed {told['events'].missed}")


if __name__ == "__main__":
    main()
