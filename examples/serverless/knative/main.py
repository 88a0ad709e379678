"""Knative, or any place that runs a container: HTTP in, whatever shape the store sends.

    functions-framework --source knative/main.py --target pictures

204: done. 400: this is no event, and never will be. 503: send it again. The answer never has a body when
all went well, because a Knative broker takes a body for another CloudEvent.
"""

import functools
import json

import functions_framework

from handler import Retry, Settings, handle_event, summary
from store import from_environment
from vedette_events import EventError

# Stores send one record or a few; a queue's batch of ten is below 3 MB.
LARGEST_EVENT = 8 * 1024 * 1024


@functools.cache
def _store():
    return from_environment()


@functions_framework.http
def pictures(request):
    if request.method in ("GET", "HEAD"):  # probes
        return "ok\n", 200
    if (request.content_length or 0) > LARGEST_EVENT:
        return f"an event has at most {LARGEST_EVENT} bytes\n", 413
    try:
        outcomes = handle_event(request.get_data(), request.headers, _store(), Settings.from_environment())
    except EventError as error:
        return f"{error}\n", 400
    except Retry as error:
        return f"{error}\n", 503, {"Retry-After": "5"}
    return "", 204, {"Vedette-Outcomes": json.dumps(summary(outcomes))}
