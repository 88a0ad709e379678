"""What came back from the device: checks, their sum, and what is said of them.

A scenario writes one line a check into `LABEL/checks.txt`: `OK` or `FAILED`, seconds since boot, and what was
checked; what a failed one said follows, indented. `BEGUN` and `ENDED` lines stand around each part, so that
one that stopped in its middle does not look like one that passed.
"""

import re
from dataclasses import dataclass, field

CHECK = re.compile(r"^(OK|FAILED) +([0-9.]+)  (.*)$")


@dataclass
class Verdict:
    """One scenario's."""

    label: str
    passed: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    parts_begun: int = 0
    parts_ended: int = 0
    trouble: list = field(default_factory=list)

    @property
    def well(self):
        return bool(self.passed) and not self.failures()

    def failures(self):
        """In words; each counts as a failed check."""
        out = list(self.failed) + list(self.trouble)
        if self.parts_begun > self.parts_ended:
            out.append("it did not come to its end")
        if not out and not self.passed:
            out.append("it was not run")
        return out

    def line(self):
        failures = self.failures()
        if not failures:
            return f"device: {self.label:<16} OK      {len(self.passed)} checks"
        total = len(self.passed) + len(failures)
        return f"device: {self.label:<16} FAILED  {len(failures)} of {total} checks: " + "; ".join(failures)


def read(label, text, trouble=()):
    """A scenario's verdict from its checks.txt and from what the host saw go wrong."""
    verdict = Verdict(label, trouble=list(trouble))
    for line in text.splitlines():
        found = CHECK.match(line)
        if found:
            (verdict.passed if found[1] == "OK" else verdict.failed).append(found[3])
        verdict.parts_begun += line.startswith("BEGUN ")
        verdict.parts_ended += line.startswith("ENDED ")
    return verdict


def summary(verdicts, remarks, seconds):
    """The last lines; the very last one is for tools/run-tests."""
    checks = sum(len(v.passed) + len(v.failures()) for v in verdicts)
    failed = sum(len(v.failures()) for v in verdicts)
    lines = [v.line() for v in verdicts] + [f"device: {remark}" for remark in remarks]
    return "\n".join([*lines, f"device: {checks} checks, {failed} failed, in {seconds:.0f} s"])


def by_label(serial):
    """The serial console's text, cut at the marks that the guest makes; what comes before is `boot`."""
    parts, label = {}, "boot"
    for line in serial.splitlines(keepends=True):
        mark = re.search(r"DEVICE scenario (\S+)", line)
        label = mark[1] if mark else label
        parts[label] = parts.get(label, "") + line
    return parts
