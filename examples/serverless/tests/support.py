"""What the tests share: recorded events and pictures, a real SeaweedFS, the real function process."""

import atexit
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVERLESS = HERE.parent
REPOSITORY = SERVERLESS.parent.parent
PICTURES = HERE / "fixtures" / "pictures"
KEYS = ("TESTKEY00000", "secret-of-this-test")
READY_WITHIN = 60.0


def shapes():
    """Every fixture of events, by the name of its shape."""
    files = sorted((HERE / "fixtures" / "events").glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def pictures():
    """The recorded pictures: key -> (body, metadata)."""
    found = {}
    for path in sorted(PICTURES.rglob("*.jpg")):
        beside = json.loads(path.with_name(path.name + ".json").read_text())
        found[path.relative_to(PICTURES).as_posix()] = (path.read_bytes(), beside["metadata"])
    return found


def motion_picture():
    """Key, body and metadata of the picture that all written events are about."""
    return next((key, *rest) for key, rest in pictures().items() if "-motion-" in key)


def manifest(device="porch-1"):
    """Key, body and metadata of a manifest."""
    told = {"schema": 1, "device": device, "camera": "street", "event": "71d47208-c3500", "ended": "quiet"}
    body = json.dumps(told).encode()
    digest = hashlib.sha256(body).hexdigest()
    key = f"v1/{device}/street/2026/11/23/042010.000Z-manifest-00000014-{digest[:16]}.json"
    return key, body, {"sha256": digest, "trigger": "manifest", "device": device, "seq": "14"}


def free_ports(count):
    """Below the ephemeral range, so that no outgoing connection takes one before the server does."""
    with contextlib.ExitStack() as held:
        ports = []
        while len(ports) < count:
            one = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", random.randrange(10_000, 32_000)))
                ports.append(one.getsockname()[1])
        return ports


def wait_for(what, is_so, process=None, within=READY_WITHIN):
    """Asks until it is so; the process's early end and the deadline fail the test."""
    deadline = time.monotonic() + within
    while True:
        answer = is_so()
        if answer:
            return answer
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"waited for {what}: process ended with {process.wait(0.05)}")
        else:
            time.sleep(0.05)
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within} s for {what}")


class Process:
    """A child of ours with its output in a file; killed at the end."""

    def __init__(self, command, cwd, env, log):
        self.log = Path(log)
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                command, cwd=cwd, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        atexit.register(self.kill)

    def kill(self):
        if self.child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)  # the group that it leads: its workers too
            self.child.wait()


PORTS = [f"{server}.port{kind}" for server in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]


class Seaweed:
    """A real store. `hook` is told of what happens in the bucket `chain`."""

    def __init__(self, hook):
        self.dir = Path(tempfile.mkdtemp(prefix="vedette-weed-"))
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "data").mkdir()
        access, secret = KEYS
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "test", "credentials": [{"accessKey": access, "secretKey": secret}], "actions": everything}
        (self.dir / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.dir / "notification.toml").write_text(
            f'[notification.webhook]\nenabled = true\nendpoint = "{hook}"\ntimeout_seconds = 10\n'
            'max_retries = 3\nbackoff_seconds = 1\npath_prefixes = ["/buckets/chain"]\n'
        )
        self.ports = free_ports(len(PORTS))
        self.endpoint = f"http://127.0.0.1:{self.ports[0]}"
        self.start()

    def start(self):
        weed = Path(os.environ.get("VEDETTE_WEED") or REPOSITORY / "target/tools/venv/bin/weed")
        if not weed.exists():
            raise AssertionError(f"{weed} is missing: run tools/setup test")
        command = [weed, "-logtostderr=true", "server", "-dir=data", "-s3.config=s3.json", "-ip=127.0.0.1"]
        command += ["-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=64"]
        command += ["-master.electionTimeout=1s", "-master.heartbeatInterval=100ms"]
        command += ["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{flag}={port}" for flag, port in zip(PORTS, self.ports)]
        # weed takes every flag from an environment variable of its name: it gets none of ours.
        self.process = Process(command, self.dir, {"HOME": str(self.dir)}, self.dir / "log")
        wait_for("SeaweedFS", self._ready, self.process.child)

    def _ready(self):
        with contextlib.suppress(Exception):
            for bucket in ("pictures", "pictures-1250000000", "chain", "storm", "outage"):
                with contextlib.suppress(self.client.exceptions.BucketAlreadyOwnedByYou, self.client.exceptions.BucketAlreadyExists):
                    self.client.create_bucket(Bucket=bucket)
            self.client.put_object(Bucket="pictures", Key="ready", Body=b"")
            return True
        return False

    @property
    def environment(self):
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEYS[0],
            "AWS_SECRET_ACCESS_KEY": KEYS[1],
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def settings(self):
        """For boto3 and S3Store."""
        return {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": KEYS[0],
            "aws_secret_access_key": KEYS[1],
            "region_name": "us-east-1",
        }

    @property
    def client(self):
        if not hasattr(self, "_client"):
            import boto3
            from botocore.config import Config

            config = Config(
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
                retries={"max_attempts": 1}, connect_timeout=2, read_timeout=10,
            )
            self._client = boto3.client("s3", config=config, **self.settings)
        return self._client

    def put(self, bucket, key, body, metadata, content_type="image/jpeg"):
        self.client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata, ContentType=content_type)

    def list(self, bucket, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def read(self, bucket, key):
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()


class Function:
    """The real functions-framework with knative/main.py."""

    def __init__(self, port, environment):
        self.url = f"http://127.0.0.1:{port}/"
        self.dir = Path(tempfile.mkdtemp(prefix="vedette-function-"))
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        env = {
            "PATH": os.environ["PATH"], "HOME": str(self.dir), "PYTHONPATH": str(SERVERLESS),
            "PYTHONDONTWRITEBYTECODE": "1", **environment,
        }
        command = [sys.executable, "-m", "functions_framework", "--source", SERVERLESS / "knative/main.py"]
        command += ["--target", "pictures", "--host", "127.0.0.1", "--port", str(port)]
        self.process = Process(command, SERVERLESS, env, self.dir / "log")
        wait_for("the function", self._ready, self.process.child)

    def _ready(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(self.url, timeout=5).status == 200
        return False

    def post(self, body, headers=None):
        """Status, text and the outcomes that the function counted."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url, data=body, method="POST")
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                outcomes = json.loads(answer.headers.get("Vedette-Outcomes") or "{}")
                return answer.status, answer.read().decode(), outcomes
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), {}

    def told(self):
        return self.process.log.read_text()


class Counting:
    """A store that counts what goes through it; `fails` is asked with the number of each call."""

    def __init__(self, store, fails=lambda number: False):
        self.store, self.fails, self.calls, self.created = store, fails, 0, []

    def _called(self, what):
        from store import StoreError

        self.calls += 1
        if self.fails(self.calls):
            raise StoreError(f"{what}: away, says the test")

    def get(self, bucket, key):
        self._called("get")
        return self.store.get(bucket, key)

    def exists(self, bucket, key):
        self._called("exists")
        return self.store.exists(bucket, key)

    def create(self, bucket, key, body, content_type):
        self._called("create")
        made = self.store.create(bucket, key, body, content_type)
        if made:
            self.created.append(key)
        return made


@contextlib.contextmanager
def quiet():
    """The function's own log, out of the way of the tests'."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        yield out


_servers = {}


def servers():
    """One SeaweedFS and one function on it for the whole run."""
    if not _servers:
        [port] = free_ports(1)
        _servers["store"] = Seaweed(f"http://127.0.0.1:{port}/")
        _servers["function"] = Function(port, _servers["store"].environment)
    return _servers["store"], _servers["function"]
