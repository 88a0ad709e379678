"""One record of each store -> ObjectCreated, or None where it tells of something else.

Whether a key is URL-encoded is decided by who told, never by how it looks: `a%20b` and `a+b` are good
names of objects.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Optional
from urllib.parse import unquote_plus

from .key import user_metadata
from .model import EventError, ObjectCreated, key_of, member, number, text, when

_KINDS = {
    "aws:s3": "aws-s3",
    "minio:s3": "minio",
    "ceph:s3": "ceph-rgw",
    "vedette:dir": "vedette-dir",
    "obs": "huawei-obs",
}
_RAW = {"ceph-rgw", "vedette-dir"}

# Steps of a multipart upload that `ObjectCreated:*` includes at Alibaba: no object is there yet.
_NOT_YET = {"InitiateMultipartUpload", "InitialMultipartUpload", "UploadPart", "UploadPartCopy"}


def created(event_name: str) -> bool:
    """Whether this is about an object that is now there: `s3:ObjectCreated:Put`, `cos: ObjectCreated:Post`, …"""
    words = event_name.replace(" ", "").split(":")
    return "ObjectCreated" in words and words[-1] not in _NOT_YET


def s3(record: Mapping[str, Any], where: str, source: Optional[str] = None) -> Optional[ObjectCreated]:
    """The shape of AWS S3, which MinIO, Ceph, Huawei OBS and our own directory share."""
    if not created(member(record, "eventName", str, where)):
        return None
    source = source or text(record.get("eventSource"))
    # Huawei's records are those without any source.
    kind = "huawei-obs" if source is None else _KINDS.get(source.lower(), "s3")
    key = key_of(record, "s3.object.key", where)
    item = record["s3"]["object"]
    return ObjectCreated(
        bucket=key_of(record, "s3.bucket.name", where),
        key=key if kind in _RAW else decoded(key, where),
        source=kind,
        size=number(item.get("size")),
        etag=text(item.get("eTag") or item.get("etag")),
        time=when(record.get("eventTime")),
        metadata=_s3_metadata(item),
    )


def _s3_metadata(item: Mapping[str, Any]) -> "Optional[dict[str, str]]":
    user, pairs = item.get("userMetadata"), item.get("metadata")
    if isinstance(user, Mapping):
        return user_metadata(user)
    if isinstance(pairs, list):
        known = [p for p in pairs if isinstance(p, Mapping) and "key" in p and "val" in p]
        return user_metadata({str(pair["key"]): pair["val"] for pair in known})
    return None


def decoded(key: str, where: str) -> str:
    """A key as AWS writes it: form encoding, so `+` is a space."""
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        raise EventError(f"{where}: the key {key!r} is URL-encoded, but not UTF-8") from None


def cos(record: Mapping[str, Any], where: str) -> Optional[ObjectCreated]:
    """Tencent COS as SCF gets it. Its key is raw and begins with `/appid/bucket/`."""
    if not created(member(record, "event.eventName", str, where)):
        return None
    bucket = member(record, "cos.cosBucket", Mapping, where)
    name, appid = key_of(bucket, "name", where), str(bucket.get("appid") or "")
    key, item = key_of(record, "cos.cosObject.key", where), record["cos"]["cosObject"]
    if appid:
        key = key.removeprefix(f"/{appid}/{name.removesuffix('-' + appid)}/")
        name = name if name.endswith("-" + appid) else f"{name}-{appid}"
    meta = item.get("meta")
    user = user_metadata(meta) if isinstance(meta, Mapping) else {}
    return ObjectCreated(
        bucket=name,
        key=key.lstrip("/") or key,
        source="tencent-cos",
        size=number(item.get("size")),
        etag=text(item.get("etag")),
        time=when(record["event"].get("eventTime")),
        # As a rule there is the request's id and nothing of the user's: that is no metadata, not empty one.
        metadata=user or None,
    )


def oss(record: Mapping[str, Any], where: str) -> Optional[ObjectCreated]:
    """Alibaba OSS as FC gets it. Its key is raw."""
    if not created(member(record, "eventName", str, where)):
        return None
    key, item = key_of(record, "oss.object.key", where), record["oss"]["object"]
    meta = item.get("objectMeta")
    user = meta.get("userMeta") if isinstance(meta, Mapping) else None
    return ObjectCreated(
        bucket=key_of(record, "oss.bucket.name", where),
        key=key,
        source="alibaba-oss",
        size=number(item.get("size")),
        etag=text(item.get("eTag")),
        time=when(record.get("eventTime")),
        metadata=user_metadata(user, prefixed_only=False) if isinstance(user, Mapping) else None,
    )


def event_bridge(event: Mapping[str, Any]) -> Optional[ObjectCreated]:
    """AWS S3 by way of EventBridge. Unlike S3's own notifications its key is raw."""
    if event["detail-type"] != "Object Created":
        return None
    where = "EventBridge event"
    key, item = key_of(event, "detail.object.key", where), event["detail"]["object"]
    return ObjectCreated(
        bucket=key_of(event, "detail.bucket.name", where),
        key=key,
        source="aws-s3",
        size=number(item.get("size")),
        etag=text(item.get("etag")),
        time=when(event.get("time")),
    )


def seaweedfs(event: Mapping[str, Any]) -> Optional[ObjectCreated]:
    """SeaweedFS's filer webhook. It tells of everything in its tree: directories, parts, its own files."""
    where = "SeaweedFS event"
    path = member(event, "key", str, where).split("/", 3)
    message = event["message"] if isinstance(event["message"], Mapping) else {}
    entry = message.get("new_entry")
    if event["event_type"] not in ("create", "update") or not isinstance(entry, Mapping):
        return None
    if len(path) < 4 or path[:2] != ["", "buckets"] or not path[2] or path[2].startswith("."):
        return None
    bucket, key = path[2:]
    if entry.get("is_directory") or not key or key.startswith(".uploads/"):
        return None
    if event["event_type"] == "update" and not _new_bytes(message.get("old_entry"), entry):
        return None
    attributes = entry.get("attributes") if isinstance(entry.get("attributes"), Mapping) else {}
    extended = _from_base64(entry.get("extended"))
    return ObjectCreated(
        bucket=bucket,
        key=key,
        source="seaweedfs",
        size=number(attributes.get("file_size", 0)),
        etag=extended.get("seaweed-x-amz-etag"),
        time=when(attributes.get("mtime")),
        metadata=user_metadata(extended),
    )


def _new_bytes(old: Any, new: Mapping[str, Any]) -> bool:
    """Whether an update wrote the object again, or only its tags or attributes."""

    def held(entry: Any) -> Any:
        if not isinstance(entry, Mapping):
            return None
        chunks = entry.get("chunks") if isinstance(entry.get("chunks"), list) else []
        return [chunk.get("fid") for chunk in chunks if isinstance(chunk, Mapping)], entry.get("content")

    return held(old) != held(new)


def _from_base64(values: Any) -> "dict[str, str]":
    found = {}
    for name, value in values.items() if isinstance(values, Mapping) else ():
        try:
            found[str(name).lower()] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, TypeError, ValueError):
            continue  # not ours: ours are plain text
    return found
