"""Takes events out of what they are wrapped in: text, HTTP, CloudEvents, SNS, SQS, EventBridge.

The shape alone decides, so one function serves all: nothing has to be configured.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Optional
from urllib.parse import unquote

from . import stores
from .model import EventError, ObjectCreated, key_of, member, number, text, when
from .stores import created

EXPECTED = (
    "expected an event of AWS S3 (also in SNS, SQS or EventBridge), MinIO, Ceph, Huawei OBS, Tencent COS, "
    "Alibaba OSS, SeaweedFS, or a CloudEvent of one of them"
)

# SNS in SQS in a CloudEvent is three; more is no envelope but an attack.
_DEPTH = 5

_S3_TYPE = re.compile(r"com\.amazonaws\.(?:s3\.)?(?:s3:)?(.+)")


def normalise(event: Any, headers: Optional[Mapping[str, str]] = None) -> "list[ObjectCreated]":
    """The objects that an event says were created; none where it is about something else.

    `event` is what the platform hands over: parsed JSON, or its text or bytes. `headers` are those of
    the HTTP request, where there was one.

    Raises EventError, and nothing else, for what cannot be read.
    """
    lower = {str(name).lower(): str(value) for name, value in (headers or {}).items()}
    try:
        return _unwrap(_parsed(event), lower, _DEPTH)
    except RecursionError:
        raise EventError(f"the event is nested too deeply; {EXPECTED}") from None


def _parsed(event: Any) -> Any:
    if not isinstance(event, (str, bytes, bytearray)):
        return event
    try:
        return json.loads(event)
    except ValueError as error:
        start = event[:40] if isinstance(event, str) else bytes(event[:40])
        raise EventError(f"the event is no JSON ({error}): {start!r}…; {EXPECTED}") from None


def _unwrap(event: Any, headers: Mapping[str, str], depth: int) -> "list[ObjectCreated]":
    if depth == 0:
        raise EventError(f"the event is wrapped more than {_DEPTH} times; {EXPECTED}")
    if "ce-type" in headers:
        attributes = {name[3:]: _header(value) for name, value in headers.items() if name.startswith("ce-")}
        return _cloud_event(attributes, event, depth)
    if isinstance(event, list):  # a batch of CloudEvents
        return [new for one in event for new in _unwrap(one, {}, depth - 1)]
    if not isinstance(event, Mapping):
        raise EventError(f"the event is {_kind(event)}; {EXPECTED}")
    if "specversion" in event and "type" in event:
        return _cloud_event(event, _data(event), depth)
    if isinstance(event.get("Records"), list):
        found = [_record(record, at, depth) for at, record in enumerate(event["Records"])]
        return [new for one in found for new in one]
    if isinstance(event.get("events"), list):
        found = [stores.oss(one, f"events[{at}]") for at, one in enumerate(_objects(event["events"], "events"))]
        return [new for new in found if new]
    return _single(event, depth)


def _single(event: Mapping[str, Any], depth: int) -> "list[ObjectCreated]":
    """Shapes that tell of one thing."""
    if isinstance(event.get("detail-type"), str) and isinstance(event.get("detail"), Mapping):
        return _listed(stores.event_bridge(event))
    if isinstance(event.get("event_type"), str) and "message" in event:
        return _listed(stores.seaweedfs(event))
    if event.get("Type") == "Notification" and "Message" in event:  # SNS over HTTP
        return _unwrap(_parsed(member(event, "Message", str, "SNS message")), {}, depth - 1)
    if isinstance(event.get("s3"), Mapping) and "eventName" in event:
        return _listed(stores.s3(event, "record"))
    if event.get("Event") == "s3:TestEvent":
        return []
    if event.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        return []  # for whoever set up the topic to answer: nothing from outside makes this call a URL
    names = ", ".join(sorted(map(str, event))[:8]) or "nothing"
    raise EventError(f"the event has {names}; {EXPECTED}")


def _record(record: Any, at: int, depth: int) -> "list[ObjectCreated]":
    """One of `Records`, which AWS uses for everything and Tencent has taken over."""
    where = f"Records[{at}]"
    if not isinstance(record, Mapping):
        raise EventError(f"{where} is {_kind(record)}; {EXPECTED}")
    if isinstance(record.get("Sns"), Mapping):
        return _unwrap(_parsed(member(record, "Sns.Message", str, where)), {}, depth - 1)
    if record.get("eventSource") == "aws:sqs":
        return _unwrap(_parsed(member(record, "body", str, where)), {}, depth - 1)
    if isinstance(record.get("cos"), Mapping):
        return _listed(stores.cos(record, where))
    if isinstance(record.get("s3"), Mapping):
        return _listed(stores.s3(record, where))
    raise EventError(f"{where} has {', '.join(sorted(map(str, record))[:8]) or 'nothing'}; {EXPECTED}")


def _cloud_event(event: Mapping[str, Any], data: Any, depth: int) -> "list[ObjectCreated]":
    """The CloudEvents adapter for S3 (`com.amazonaws.s3.` and the event's name), or anything else wrapped."""
    kind = _S3_TYPE.fullmatch(member(event, "type", str, "CloudEvent"))
    if kind and not created(kind.group(1)):
        return []
    if isinstance(data, (str, bytes)):
        data = _parsed(data)
    if not kind and not _known(data):
        return []  # a broker carries many kinds of events
    if not isinstance(data, Mapping):
        raise EventError(f"CloudEvent: its data is {_kind(data)}; {EXPECTED}")
    if not kind or isinstance(data.get("Records"), list):  # Ceph puts the whole notification there
        return _unwrap(data, {}, depth - 1)
    if isinstance(data.get("s3"), Mapping):
        source = text(data.get("eventSource")) or _source(event)
        return _listed(stores.s3({"eventName": kind.group(1), **data}, "CloudEvent", source))
    return [_plain(event, data)]


def _plain(event: Mapping[str, Any], data: Mapping[str, Any]) -> ObjectCreated:
    """Data without a record: `{"bucket": …, "key": …}`, both raw; the attributes tell what it does not."""
    bucket, meta = data.get("bucket"), data.get("metadata")
    if bucket is None and isinstance(event.get("source"), str):
        bucket = re.split(r"[.:/]", event["source"])[-1]
    found = {"bucket": bucket, "key": data.get("key") or event.get("subject")}
    sources = {"aws:s3": "aws-s3", "minio:s3": "minio", "ceph:s3": "ceph-rgw", "vedette:dir": "vedette-dir"}
    return ObjectCreated(
        bucket=key_of(found, "bucket", "CloudEvent"),
        key=key_of(found, "key", "CloudEvent"),
        source=sources.get(_source(event) or "", "s3"),
        size=number(data.get("size")),
        etag=text(data.get("etag") or data.get("eTag")),
        time=when(event.get("time")),
        metadata={str(k).lower(): str(v) for k, v in meta.items()} if isinstance(meta, Mapping) else None,
    )


def _source(event: Mapping[str, Any]) -> Optional[str]:
    """`minio:s3..pictures` -> `minio:s3`: the adapter writes event source, region and bucket with dots."""
    source = event.get("source")
    return source.split(".", 1)[0] if isinstance(source, str) else None


def _header(value: str) -> str:
    """CloudEvents over HTTP write what headers cannot hold with percent signs."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise EventError(f"CloudEvent: the header {value!r} is URL-encoded, but not UTF-8") from None


def _data(event: Mapping[str, Any]) -> Any:
    if "data_base64" in event:
        try:
            return base64.b64decode(member(event, "data_base64", str, "CloudEvent"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise EventError(f"CloudEvent: data_base64 is no Base64 ({error})") from None
    return event.get("data")


def _known(data: Any) -> bool:
    """Whether a CloudEvent of a foreign type carries one of the shapes that tell what they are."""
    if not isinstance(data, Mapping):
        return False
    seaweedfs = isinstance(data.get("event_type"), str) and isinstance(data.get("message"), Mapping)
    record = isinstance(data.get("s3"), Mapping) and "eventName" in data
    return seaweedfs or record or isinstance(data.get("Records"), list) or _oss(data.get("events"))


def _oss(events: Any) -> bool:
    return isinstance(events, list) and any(isinstance(e, Mapping) and "oss" in e for e in events)


def _objects(values: "list[Any]", where: str) -> "list[Mapping[str, Any]]":
    for at, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise EventError(f"{where}[{at}] is {_kind(value)}; {EXPECTED}")
    return values


def _listed(found: Optional[ObjectCreated]) -> "list[ObjectCreated]":
    return [found] if found else []


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} and no object"
