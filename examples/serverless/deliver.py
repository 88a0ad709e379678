"""Sends recorded events to a function that runs somewhere, as a store would.

    python deliver.py vedette-dir                          all of that shape, to http://localhost:8080/
    python deliver.py tencent-cos http://localhost:8080/   any other shape

The shapes are the files in tests/fixtures/events; what they tell of is in tests/fixtures/pictures.
"""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

EVENTS = Path(__file__).resolve().parent / "tests/fixtures/events"


def main(shape="", url="http://localhost:8080/"):
    file = EVENTS / f"{shape}.json"
    if not file.exists():
        return f"which shape? one of {', '.join(sorted(f.stem for f in EVENTS.glob('*.json')))}"
    for case in json.loads(file.read_text())["cases"]:
        headers = {"content-type": "application/json", **case.get("headers", {})}
        request = urllib.request.Request(url, json.dumps(case["event"]).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request) as answer:
                said = f"{answer.status} {answer.headers.get('Vedette-Outcomes', '')}"
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.read().decode().strip()}"
        except urllib.error.URLError as error:
            return f"{url}: {error.reason}"
        print(f"{case['name']}: {said}")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
