"""The one form that all events are brought into, and the one error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Optional


class EventError(ValueError):
    """The event cannot be read. Trying again gives the same: answer 400, not 503."""


@dataclass(frozen=True)
class ObjectCreated:
    """One new object.

    An event comes at least once and in no order: `bucket` and `key` name the object, and the rest may
    differ between two deliveries of the same one.
    """

    bucket: str
    """As a client of that store takes it: with Tencent COS the name and the APPID, `pictures-1250000000`."""
    key: str
    """Never URL-encoded."""
    source: str
    """Who told: `aws-s3`, `minio`, `ceph-rgw`, `tencent-cos`, `alibaba-oss`, `huawei-obs`, `seaweedfs`,
    `vedette-dir`, or `s3` for other stores with the same shape."""
    size: Optional[int] = None
    etag: Optional[str] = None
    time: Optional[datetime] = None
    """When the store says that it happened, in UTC."""
    metadata: Optional[Mapping[str, str]] = None
    """User metadata without the provider's prefix, names in lower case; None where the event carries none."""


def member(value: Any, path: str, kind: type, where: str) -> Any:
    """`value[path]`, dots going deeper; EventError where it is missing or of another kind."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        said = "is missing" if value is None else f"is {type(value).__name__}"
        raise EventError(f"{where}: {path} {said}, expected {_KINDS[kind]}")
    return value


_KINDS = {str: "text", Mapping: "an object", list: "a list", dict: "an object"}


def key_of(value: Any, path: str, where: str) -> str:
    """A bucket or key: text, not empty."""
    text = member(value, path, str, where)
    if not text:
        raise EventError(f"{where}: {path} is empty")
    return text


def number(value: Any) -> Optional[int]:
    """A size, as a number or as text; None where there is none."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def text(value: Any) -> Optional[str]:
    """Text, without the quotes that ETags come in; None where there is none."""
    return (value.strip('"') or None) if isinstance(value, str) else None


_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-][0-9]{2}):?([0-9]{2}))"
)


def when(value: Any) -> Optional[datetime]:
    """A time, as RFC 3339 or in seconds since 1970. One that cannot be read is no reason to lose a picture."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
        parts = _RFC3339.fullmatch(value) if isinstance(value, str) else None
        if parts is None:
            return None
        day, clock, fraction, hours, minutes = parts.groups()
        there = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=timezone.utc)
        there += timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
        if hours:
            sign = -1 if hours[0] == "-" else 1
            there -= sign * timedelta(hours=int(hours[1:]), minutes=int(minutes))
        return there
    except (ValueError, OverflowError, OSError):
        return None
