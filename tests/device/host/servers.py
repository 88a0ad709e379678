"""The servers that the device talks to: SeaweedFS and mosquitto on the host's loopback, the guest's 10.0.2.2.

Each runs on free ports in a directory of its own, can be stopped and started again on the same ports, and is
stopped by its process id. Should the driver be killed, the kernel kills them (PR_SET_PDEATHSIG).
"""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

DEVICE = "gate"
BUCKET = "pictures"
DEVICE_KEYS = ("DEVICEKEY0", "device-secret-of-this-test")
ADMIN_KEYS = ("ADMINKEY00", "admin-secret-of-this-test")
READY_WITHIN_S = 120
STOP_WITHIN_S = 10


def child(command, log, **options):
    """A process that writes to `log` and does not outlive the driver."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options)


def end(process):
    """Ends a process, at first in peace."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def free_ports(count):
    """Below the ephemeral range, so that no outgoing connection takes one before its server does."""
    held = []
    while len(held) < count:
        one = socket.socket()
        try:
            one.bind(("127.0.0.1", random.randrange(10_000, 32_000)))
            held.append(one)
        except OSError:
            one.close()
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def until(what, condition, process, seconds=READY_WITHIN_S):
    """Waits for a server's readiness, or for its early end."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{what} is not ready (exit status {process.poll()}): see its log")
        time.sleep(0.1)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Store:
    """SeaweedFS with its S3 face; the device's keys may write below `v1/gate/` and nothing else."""

    FLAGS = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc",
             "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")

    def __init__(self, folder, weed):
        self.folder, self.weed = Path(folder), weed
        (self.folder / "data").mkdir(parents=True)
        all_of_it = ["Admin", "Read", "Write", "List"]
        identities = [
            {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
            for name, (key, secret), actions in (
                ("admin", ADMIN_KEYS, all_of_it), (DEVICE, DEVICE_KEYS, [f"Write:{BUCKET}/v1/{DEVICE}/*"]))]
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        self.ports = free_ports(len(self.FLAGS))
        self.process = None
        self.clients = {}
        self.start()

    @property
    def port(self):
        return self.ports[0]

    def start(self):
        command = [self.weed, "-logtostderr=true", "server", "-dir=data", "-s3.config=s3.json",
                   "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
                   "-master.volumeSizeLimitMB=128", "-volume.max=64", "-volume.preStopSeconds=1",
                   "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{flag}={port}" for flag, port in zip(self.FLAGS, self.ports)]
        # weed takes any flag from an environment variable of its name, so it gets none.
        self.process = child(command, self.folder / "weed.log", cwd=self.folder,
                             env={"HOME": str(self.folder), "PATH": os.environ["PATH"]})
        until("the object store", self.bucket, self.process)

    def stop(self):
        end(self.process)

    def s3(self, tries=8):
        """A client that may do everything. A store that was just started again asks for patience (500)."""
        if tries not in self.clients:
            import boto3
            from botocore.config import Config
            self.clients[tries] = boto3.client(
                "s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
                aws_access_key_id=ADMIN_KEYS[0], aws_secret_access_key=ADMIN_KEYS[1],
                config=Config(retries={"total_max_attempts": tries, "mode": "standard"},
                              s3={"addressing_style": "path"}))
        return self.clients[tries]

    def bucket(self):
        """Is the bucket there? It is made as soon as that can be."""
        from botocore.exceptions import BotoCoreError, ClientError
        try:
            if BUCKET not in [b["Name"] for b in self.s3(tries=1).list_buckets()["Buckets"]]:
                self.s3(tries=1).create_bucket(Bucket=BUCKET)
            return True
        except (BotoCoreError, ClientError):
            return False

    def keys(self, prefix=""):
        """Keys of all objects below a prefix."""
        pages = self.s3().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def picture(self, key):
        """An object's bytes and metadata, once it was seen to be a whole JPEG with the digest that its key says."""
        answer = self.s3().get_object(Bucket=BUCKET, Key=key)
        body = answer["Body"].read()
        if body[:2] != b"\xff\xd8" or body[-2:] != b"\xff\xd9":
            raise ValueError(f"{key} is not a whole JPEG")
        digest = hashlib.sha256(body).hexdigest()
        if not key.endswith(f"-{digest[:16]}.jpg") or answer["Metadata"].get("sha256") != digest:
            raise ValueError(f"{key} does not have the digest that it says")
        return body, answer["Metadata"]


class Broker:
    """mosquitto; all that the device says below its prefix is written to `heard.txt`."""

    def __init__(self, folder, heard):
        self.folder, self.heard = Path(folder), Path(heard)
        self.folder.mkdir(parents=True)
        (self.port,) = free_ports(1)
        (self.folder / "broker.conf").write_text(
            # Started as root it would become another user, who may not read this directory.
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.folder}/\nautosave_interval 1\nautosave_on_changes true\n"
            "set_tcp_nodelay true\n")
        self.process = self.listener = None
        self.start()

    def start(self):
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        self.process = child([program, "-c", self.folder / "broker.conf"], self.folder / "mosquitto.log")
        until("the broker", lambda: answers(self.port), self.process)
        self.listener = child(["mosquitto_sub", "-p", self.port, "-V", "mqttv5", "-i", "listener", "-q", "1",
                               "-v", "-t", f"vedette/v1/{DEVICE}/#"], self.heard)

    def stop(self):
        end(self.listener)
        end(self.process)

    def publish(self, topic, payload):
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-V", "mqttv5", "-q", "1", "-t", topic, "-m", payload],
                       check=True, timeout=30, capture_output=True)
