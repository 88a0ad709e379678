"""A SeaweedFS with its S3 face, http and https, for measurements. Tests have their own harness."""

import os
import random
import socket
import subprocess
import tempfile
import time

VENV = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "target/tools/venv/bin")
ACCESS, SECRET, BUCKET, REGION = "BENCHKEY00", "bench-secret-of-this-run", "pictures", "us-east-1"
CONFIG = (
    '{"identities":[{"name":"bench","credentials":[{"accessKey":"%s","secretKey":"%s"}],'
    '"actions":["Admin","Read","Write","List"]}]}' % (ACCESS, SECRET)
)
FLAGS = ("s3.port", "s3.port.https", "s3.port.grpc", "master.port", "master.port.grpc",
         "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")  # fmt: skip


def free_ports(count):
    """Ports below the ephemeral range, which no outgoing connection can take meanwhile."""
    held = []
    while len(held) < count:
        try:
            held.append(socket.create_server(("127.0.0.1", random.randrange(10_000, 32_000))))
        except OSError:
            continue
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Store:
    """Use it by `with`; `http`, `https` and `ca` say how to reach it."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vedette-store-")
        at = lambda name: os.path.join(self.folder.name, name)  # noqa: E731
        os.mkdir(at("data"))
        with open(at("s3.json"), "w") as file:
            file.write(CONFIG)
        self.ca, key = at("cert.pem"), at("key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
             "-out", self.ca, "-subj", "/CN=vedette-bench", "-addext", "subjectAltName=IP:127.0.0.1",
             # Its own CA, but no CA: rustls takes none of those for a server.
             "-addext", "basicConstraints=critical,CA:FALSE"],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ports = free_ports(len(FLAGS))
        self.http, self.https = (f"{s}://127.0.0.1:{p}" for s, p in zip(("http", "https"), ports))
        command = [os.path.join(VENV, "weed"), "-logtostderr=true", "server", "-dir=data",
                   "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
                   "-master.volumeSizeLimitMB=128", "-volume.max=64", "-volume.preStopSeconds=1",
                   "-filer", "-s3", "-s3.config=s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0",
                   f"-s3.cert.file={self.ca}", f"-s3.key.file={key}"]  # fmt: skip
        command += [f"-{flag}={port}" for flag, port in zip(FLAGS, ports)]
        self.log = open(at("weed.log"), "w+")
        # weed takes any flag from an environment variable of its name: it gets none.
        self.child = subprocess.Popen(
            command, cwd=self.folder.name, env={"HOME": self.folder.name},
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while self.s5cmd("mb", f"s3://{BUCKET}", quiet=True).returncode != 0:
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise SystemExit(f"SeaweedFS not ready:\n{self.log.read()[-4000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        # On SIGTERM it takes a quarter of a minute; nothing here is worth that.
        self.child.kill()
        self.child.wait()
        self.log.close()
        self.folder.cleanup()

    def s5cmd_command(self, *args, endpoint=None):
        """Command and environment of one s5cmd call."""
        env = {"HOME": self.folder.name, "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET,
               "AWS_REGION": REGION, "AWS_CA_BUNDLE": self.ca}  # fmt: skip
        command = [os.path.join(VENV, "s5cmd"), "--endpoint-url", endpoint or self.http]
        return [*command, *args], env

    def s5cmd(self, *args, quiet=False):
        """Runs one s5cmd call to its end."""
        command, env = self.s5cmd_command(*args)
        sink = subprocess.DEVNULL if quiet else None
        return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=sink, text=True)

    def objects(self):
        """How many objects the bucket holds."""
        return self.s5cmd("ls", f"s3://{BUCKET}/*").stdout.count("\n")
