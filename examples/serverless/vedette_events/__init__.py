"""What object stores say about a new picture, in one form; and how to read its key and metadata.

    from vedette_events import normalise, parse_key, facts

    for new in normalise(event, headers):      # any provider's event -> list[ObjectCreated]
        key = parse_key(new.key)               # device, camera, captured, trigger, seq, sha16
        told = facts(new.metadata or {})       # the object's user metadata, typed

The standard library only: copy this folder into a function of your own.
"""

from .envelopes import normalise
from .key import PictureKey, facts, is_key, parse_key, user_metadata
from .model import EventError, ObjectCreated

__all__ = [
    "EventError",
    "ObjectCreated",
    "PictureKey",
    "facts",
    "is_key",
    "normalise",
    "parse_key",
    "user_metadata",
]
