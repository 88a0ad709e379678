"""One function for each new picture, the same on every platform.

    handle_event(event, headers, store)   what an entry point calls: any provider's event
    handle(objects, store)                the same for objects that are known already

For each picture: a thumbnail, then one line of JSON with all that is known, both under `results/`. Their
keys come from the picture's bucket and key alone and they are created once, the line last: it is the
proof that the picture is done. So events may come twice, at once, late and in any order.

Where a store fails, Retry is raised after all other objects of the event were done. The platform sends
the event again, and what is done stays done.

To do your own work on a picture, change `look` and nothing else.
"""

import hashlib
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from store import Found, NotFound, StoreError, TooLarge
from vedette_events import ObjectCreated, PictureKey, facts, is_key, normalise, parse_key

THUMBNAIL = 320


@dataclass(frozen=True)
class Picture:
    """What your function gets to see."""

    bucket: str
    key: str
    body: bytes
    """The JPEG, its SHA-256 checked."""
    metadata: Mapping[str, str]
    """User metadata as stored, all text."""
    facts: Mapping[str, Any]
    """Key and metadata with types: device, camera, captured, trigger, seq, event, motion-box, …"""

    def open(self) -> Any:
        """The picture as a PIL image."""
        from PIL import Image

        return Image.open(io.BytesIO(self.body))


def look(picture: Picture) -> "dict[str, Any]":
    """Looks at one picture; what is returned stands under `look` in its line.

    It may run more than once for one picture, and only the first result is kept. An exception here means
    "try again later".
    """
    # Your own work on a picture goes here
    with picture.open() as image:
        return {"width": image.width, "height": image.height}


@dataclass(frozen=True)
class Settings:
    """Where pictures are and where results go."""

    pictures: str = "v1/"
    """Prefix of the pictures."""
    results: str = "results/"
    """Prefix of the results."""
    bucket: Optional[str] = None
    """Bucket of the results; the picture's own if None."""

    def __post_init__(self) -> None:
        if not self.results.endswith("/") or not is_key(self.results[:-1]):
            raise ValueError(f"RESULTS_PREFIX is {self.results!r}, expected a plain path that ends with a slash")
        if not self.pictures or self.results.startswith(self.pictures) or self.pictures.startswith(self.results):
            raise ValueError(f"results under {self.results!r} would set off the function for {self.pictures!r} again")

    @classmethod
    def from_environment(cls) -> "Settings":
        """From PICTURES_PREFIX, RESULTS_PREFIX and RESULTS_BUCKET, all optional."""
        env = os.environ
        return cls(
            env.get("PICTURES_PREFIX") or cls.pictures,
            env.get("RESULTS_PREFIX") or cls.results,
            env.get("RESULTS_BUCKET") or None,
        )

    def result(self, new: ObjectCreated) -> "tuple[str, str]":
        """Bucket and key of an object's line: of nothing but its own bucket and key."""
        return self.bucket or new.bucket, f"{self.results}{new.bucket}/{new.key}.json"


@dataclass(frozen=True)
class Outcome:
    """What became of one object."""

    bucket: str
    key: str
    status: str
    """`done`; `already` done before; `skipped`, not ours; `mismatch`, other bytes than its key says;
    `gone`, deleted meanwhile."""
    detail: str
    """The result's key, or why there is none."""


class Retry(Exception):
    """Some objects could not be done now. `outcomes` are those that could."""

    def __init__(self, outcomes: "list[Outcome]", failures: "list[str]") -> None:
        super().__init__(f"{len(failures)} to be tried again, {len(outcomes)} are done: {'; '.join(failures)[:2000]}")
        self.outcomes, self.failures = outcomes, failures


def handle_event(
    event: Any, headers: Optional[Mapping[str, str]], store: Any, settings: Optional[Settings] = None
) -> "list[Outcome]":
    """Any provider's event. Raises EventError (400: never try again) and Retry (503: try again)."""
    outcomes: "list[Outcome]" = []
    try:
        outcomes = handle(normalise(event, headers), store, settings or Settings.from_environment())
    except Retry as retry:
        outcomes = retry.outcomes
        tell({"level": "error", "retry": retry.failures})
        raise
    finally:
        for one in outcomes:
            level = "error" if one.status == "mismatch" else "info"
            tell({"level": level, "status": one.status, "bucket": one.bucket, "key": one.key, "detail": one.detail})
    return outcomes


def handle(objects: Iterable[ObjectCreated], store: Any, settings: Optional[Settings] = None) -> "list[Outcome]":
    """Does each object once. Raises Retry when at least one of them has to be tried again."""
    settings = settings or Settings()
    outcomes, failures = [], []
    for new in {(new.bucket, new.key): new for new in objects}.values():
        try:
            status, detail = _one(new, store, settings)
            outcomes.append(Outcome(new.bucket, new.key, status, detail))
        except StoreError as error:
            failures.append(str(error))
        except Exception as error:  # `look`, or a fault here: others must not wait for it
            failures.append(f"{new.bucket}/{new.key}: {type(error).__name__}: {error}")
    if failures:
        raise Retry(outcomes, failures)
    return outcomes


def summary(outcomes: "list[Outcome]") -> "dict[str, int]":
    """How many came to what."""
    return dict(Counter(one.status for one in outcomes))


def tell(line: Mapping[str, Any]) -> None:
    """One line of JSON to standard output, where every platform collects its log."""
    print(json.dumps(line), file=sys.stdout, flush=True)


def _one(new: ObjectCreated, store: Any, settings: Settings) -> "tuple[str, str]":
    why = _not_ours(new.key, settings)
    if why:
        return "skipped", why
    bucket, key = settings.result(new)
    if store.exists(bucket, key):
        return "already", key
    try:
        found = store.get(new.bucket, new.key)
    except NotFound:
        return "gone", "the store has no such object any more"
    except TooLarge as error:
        return "skipped", str(error)
    named = parse_key(new.key)
    digest = hashlib.sha256(found.body).hexdigest()
    told = [d for d in (named and named.sha16, found.metadata.get("sha256")) if d]
    if not told:
        return "skipped", "neither key nor metadata has its SHA-256: no picture of Vedette's"
    if not all(digest.startswith(d) for d in told):
        return "mismatch", f"SHA-256 is {digest}, expected {' and '.join(told)}"
    line = _line(new, found, named, digest)
    if new.key.endswith(".json"):
        line |= _manifest(found.body)
    else:
        line |= _picture(new, found, line["facts"], store, bucket, key.removesuffix(".json") + ".thumb.jpg")
    text = json.dumps(line, default=_plain, sort_keys=True, separators=(",", ":")) + "\n"
    return ("done" if store.create(bucket, key, text.encode(), "application/json") else "already"), key


def _not_ours(key: str, settings: Settings) -> Optional[str]:
    if key.startswith(settings.results):
        return "a result of this function"
    if not key.startswith(settings.pictures):
        return f"not under {settings.pictures}"
    if not is_key(key):
        return "no key of Vedette's: other characters than [A-Za-z0-9/_.-]"
    return None if key.endswith((".jpg", ".json")) else "neither .jpg nor .json"


def _line(new: ObjectCreated, found: Found, named: Optional[PictureKey], digest: str) -> "dict[str, Any]":
    """All that is known of the object itself: no time, no ETag, nothing that another delivery would change."""
    known = {n: v for n, v in vars(named).items() if v is not None and n not in ("sha16", "kind")} if named else {}
    return {
        "schema": 1,
        "bucket": new.bucket,
        "key": new.key,
        "size": len(found.body),
        "sha256": digest,
        "content_type": found.content_type,
        "metadata": dict(found.metadata),
        "facts": known | facts(found.metadata),
    }


def _picture(
    new: ObjectCreated, found: Found, known: Mapping[str, Any], store: Any, bucket: str, thumb_key: str
) -> "dict[str, Any]":
    try:
        body, width, height = thumbnail(found.body)
    except MemoryError:
        raise
    except Exception as error:  # what PIL raises for a broken file is many things; it will be broken again
        return {"kind": "picture", "thumbnail": None, "problem": f"cannot be decoded: {error}"}
    store.create(bucket, thumb_key, body, "image/jpeg")
    seen = look(Picture(new.bucket, new.key, found.body, found.metadata, known))
    return {"kind": "picture", "thumbnail": {"key": thumb_key, "width": width, "height": height}, "look": seen}


def thumbnail(body: bytes) -> "tuple[bytes, int, int]":
    """At most THUMBNAIL pixels wide and high, never enlarged."""
    from PIL import Image

    with Image.open(io.BytesIO(body), formats=["JPEG"]) as image:
        image.draft("RGB", (THUMBNAIL, THUMBNAIL))  # decodes an eighth, a quarter or half of it
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=80)
        return out.getvalue(), small.width, small.height


def _manifest(body: bytes) -> "dict[str, Any]":
    """The account of an event, which is no picture: which of its pictures came, and which never will."""
    try:
        told = json.loads(body)
    except ValueError as error:
        return {"kind": "manifest", "manifest": None, "problem": f"no JSON: {error}"}
    return {"kind": "manifest", "manifest": told}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise TypeError(f"look returned {type(value).__name__}, which JSON has not")
