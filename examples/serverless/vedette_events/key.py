"""Keys and metadata of pictures, as docs/object-contract.md has them (schema 1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Optional

_ID = "[a-z0-9-]{1,32}"
_TAIL = r"(?P<seq>[0-9]{8,20})-(?P<sha16>[0-9a-f]{16})\.(?P<kind>jpg|json)"
_DATED = re.compile(
    rf"v1/(?P<device>{_ID})/(?P<camera>{_ID})/(?P<day>[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}})/"
    rf"(?P<clock>[0-9]{{6}}\.[0-9]{{3}})Z-(?P<trigger>[a-z]+)-{_TAIL}"
)
_UNSYNCED = re.compile(
    rf"v1/(?P<device>{_ID})/(?P<camera>{_ID})/unsynced/(?P<boot>[A-Za-z0-9_-]{{1,8}})/{_TAIL}"
)
_OWN_TEMPLATE = re.compile(rf"(?:.*[/_.-])?{_TAIL}")


@dataclass(frozen=True)
class PictureKey:
    """What a key tells. With a template of one's own only `seq`, `sha16` and `kind` are known."""

    seq: int
    sha16: str
    """First 16 hex digits of the object's SHA-256."""
    kind: str
    """`jpg` for a picture, `json` for the manifest of an event."""
    device: Optional[str] = None
    camera: Optional[str] = None
    trigger: Optional[str] = None
    """None where the key has none: unsynced keys, and templates of one's own."""
    captured: Optional[datetime] = None
    """None where the time is not known, or not in the key."""
    boot: Optional[str] = None
    """First eight hex digits of the boot id; unsynced keys only."""

    @property
    def unsynced(self) -> bool:
        """Whether the device did not know the time, nor learnt it in that boot."""
        return self.boot is not None


def is_key(key: str) -> bool:
    """Whether every key of Vedette could look like this: a plain path of `[A-Za-z0-9/_.-]`."""
    return (
        re.fullmatch(r"[A-Za-z0-9/_.-]{1,900}", key) is not None
        and all(key.split("/"))
        and not any(name.startswith(".") for name in key.split("/"))
    )


def parse_key(key: str) -> Optional[PictureKey]:
    """Takes a key apart; None if it is no key of a picture or manifest."""
    if not is_key(key):
        return None
    found = _DATED.fullmatch(key) or _UNSYNCED.fullmatch(key) or _OWN_TEMPLATE.fullmatch(key)
    if found is None:
        return None
    parts = found.groupdict()
    captured = None
    if "clock" in parts:
        try:
            captured = datetime.strptime(parts["day"] + parts["clock"] + "000", "%Y/%m/%d%H%M%S.%f")
        except ValueError:
            return None
        captured = captured.replace(tzinfo=timezone.utc)
    return PictureKey(
        seq=int(parts["seq"]),
        sha16=parts["sha16"],
        kind=parts["kind"],
        device=parts.get("device"),
        camera=parts.get("camera"),
        trigger=parts.get("trigger"),
        captured=captured,
        boot=parts.get("boot"),
    )


_PREFIX = re.compile(r"x-(?:amz|cos|oss|obs)-meta-(.+)")


def user_metadata(headers: Mapping[str, Any], prefixed_only: bool = True) -> "dict[str, str]":
    """Headers or an event's pairs to user metadata: prefix off, names in lower case.

    Only what has a provider's prefix is taken: some stores put every signed header into their events,
    session tokens among them.
    """
    found = {}
    for name, value in headers.items():
        name = str(name).lower()
        match = _PREFIX.fullmatch(name)
        if match or not (prefixed_only or name.startswith("x-")):
            found[match.group(1) if match else name] = str(value)
    return found


def facts(metadata: Mapping[str, str]) -> "dict[str, Any]":
    """The contract's metadata with its types; unknown names stay text, what cannot be read is left out."""
    typed = {}
    for name, value in metadata.items():
        try:
            typed[name] = _TYPES.get(name, str)(value)
        except ValueError:
            continue
    return typed


def _time(value: str) -> datetime:
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(value)
    return value == "true"


def _box(value: str) -> "tuple[int, ...]":
    box = tuple(int(side) for side in value.split("-"))
    if len(box) != 4:
        raise ValueError(value)
    return box


_TYPES = {
    "schema": int,
    "captured": _time,
    "captured-boottime": int,
    "event-final": _truth,
    "seq": int,
    "size": int,
    "motion-score": float,
    "motion-box": _box,
    "sharpness": float,
}
