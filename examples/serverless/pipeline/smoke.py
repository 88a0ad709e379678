"""Puts a picture into the bucket as a device would, and waits for the function's result.

    BUCKET=pictures STORE=s3 python pipeline/smoke.py [SECONDS]

The picture is a new one each time, so an older result proves nothing. The device's name in its key is
`smoke`. Credentials as in store.py; they have to be allowed to write v1/smoke/* and to read results/*.
"""

import hashlib
import io
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from handler import Settings  # noqa: E402
from store import NotFound, from_environment  # noqa: E402
from vedette_events import ObjectCreated  # noqa: E402


def picture(number):
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (640, 360), "steelblue").save(out, "JPEG", comment=f"smoke {number}")
    return out.getvalue()


def main(seconds):
    number = time.time_ns() // 1_000_000
    body, bucket, store = picture(number), os.environ["BUCKET"], from_environment()
    key = f"v1/smoke/pipeline/unsynced/smoke/{number}-{hashlib.sha256(body).hexdigest()[:16]}.jpg"
    if not store.create(bucket, key, body, "image/jpeg"):
        return f"smoke: {bucket}/{key} is there already, which cannot be"
    where = Settings.from_environment().result(ObjectCreated(bucket, key, "smoke"))
    print(f"smoke: stored {bucket}/{key}, waiting for {'/'.join(where)}", flush=True)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            line = json.loads(store.get(*where).body)
        except NotFound:
            time.sleep(1)
            continue
        right = line["key"] == key and line["thumbnail"] and store.exists(where[0], line["thumbnail"]["key"])
        print(f"smoke: {json.dumps(line)}")
        return None if right else "smoke: the result is not that of this picture"
    return f"smoke: no result within {seconds} s"


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 120))
