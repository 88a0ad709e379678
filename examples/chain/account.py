"""Checks what the agent says against what is there: account.py STATUS KEY PICTURE."""

import hashlib
import json
import sys

status, key, picture = json.load(open(sys.argv[1])), sys.argv[2], open(sys.argv[3], "rb").read()
run, ledger = status["run"], status["ledger"]
refused, lost = sum(run["refused"].values()), sum(ledger["lost"].values())
checks = [
    (
        f"chosen {run['chosen']} = kept {run['kept']} + refused {refused} + in hand {run['in_hand']}",
        run["chosen"] == run["kept"] + refused + run["in_hand"],
    ),
    (
        f"kept {ledger['kept']} = stored {ledger['stored']} + queued {ledger['queued']}"
        f" + quarantined {ledger['quarantined']} + lost {lost}",
        ledger["kept"] == ledger["stored"] + ledger["queued"] + ledger["quarantined"] + lost,
    ),
    ("one picture was commanded, and one is stored", ledger["stored"] == 1),
    (
        "the stored bytes have the SHA-256 that the key says",
        hashlib.sha256(picture).hexdigest()[:16] == key.rsplit("-", 1)[1].removesuffix(".jpg"),
    ),
]
for what, holds in checks:
    print("ok  " if holds else "NOT ", what)
sys.exit(not all(holds for _, holds in checks))
