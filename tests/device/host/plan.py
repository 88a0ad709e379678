"""Which scenarios are run, and what of them in which boot. Pure but for reading names.

A scenario is a file in `scenarios/`. What it needs from the host, `NAME.host` prepares. One that goes on after a
reboot has a second file, `NAME.after`. Those that
have one end their boot: what follows them runs in the next one, behind their second parts. Such scenarios that
stand together share both boots. A power cut ends the boot at once.
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


class Unknown(Exception):
    """A name that is neither a set nor a scenario."""


@dataclass(frozen=True)
class Step:
    """One run of one scenario; the label is its own, also when a scenario runs several times."""

    label: str
    name: str
    goes_on: bool


@dataclass(frozen=True)
class Part:
    """What the guest is told: a script to run for a label."""

    label: str
    script: str


def sets():
    """Names of sets with what they hold."""
    out = {}
    for line in (HERE / "sets").read_text().splitlines():
        name, colon, words = line.partition(":")
        if colon and not line.startswith("#"):
            out[name.strip()] = words.split()
    return out


def scenarios():
    """Names of all there are."""
    return sorted(file.name for file in (HERE / "scenarios").iterdir() if not file.suffix)


def expand(names):
    """Scenarios, in order, each once."""
    known, out = sets(), []
    for name in names:
        if name in known:
            found = expand(known[name])
        elif name in scenarios():
            found = [name]
        else:
            raise Unknown(f"`{name}` is neither a set ({', '.join(known)}) nor a scenario ({', '.join(scenarios())})")
        out += [one for one in found if one not in out]
    return out


def name_of(names):
    """Of the run's directory."""
    return "+".join(names)


def steps(names, times):
    """Every run of every scenario."""
    out = []
    for turn in range(1, times + 1):
        for name in expand(names):
            label = name if turn == 1 else f"{name}-{turn}"
            out.append(Step(label, name, (HERE / "scenarios" / f"{name}.after").is_file()))
    return out


class Ahead:
    """What is still to be run."""

    def __init__(self, all_steps):
        self.first = list(all_steps)
        self.second = []

    def next_boot(self):
        """Parts of the next boot; none at the end."""
        parts = [Part(step.label, f"{step.name}.after") for step in self.second]
        ending = False
        for step in self.first:
            if ending and not step.goes_on:
                break
            ending = ending or step.goes_on
            parts.append(Part(step.label, step.name))
        return parts

    def booted(self, parts, begun, ended):
        """What of it is over. After an orderly end all of it is; else only what was begun. A boot in which
        nothing was begun takes its first part with it, so that there is an end."""
        over = set(parts if ended == "off" else begun or parts[:1])
        whole = {part.label for part in over if not part.script.endswith(".after")}
        again = [step for step in self.second if Part(step.label, f"{step.name}.after") not in over]
        self.second = again + [step for step in self.first if step.label in whole and step.goes_on]
        self.first = [step for step in self.first if step.label not in whole]
