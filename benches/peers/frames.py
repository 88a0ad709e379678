"""The frames of a clip, and a camera that serves them over HTTP at a rate."""

import socket
import struct
import threading
import time


def jpegs(path, limit):
    """The first `limit` JPEGs of an AVI, as bytes."""
    with open(path, "rb") as file:
        data = file.read()
    found, at, end = [], 12, len(data)
    while at + 8 <= end and len(found) < limit:
        kind, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if kind in (b"LIST", b"RIFF"):
            # Step into lists of frames, over all others.
            at += 12 if data[at + 8 : at + 12] in (b"movi", b"rec ", b"AVIX") else 8 + size + size % 2
            continue
        if kind[2:] == b"dc":
            found.append(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    if len(found) < limit:
        raise SystemExit(f"{path} has only {len(found)} frames of {limit}")
    return found


def raw(path, limit, size):
    """The first `limit` raw frames of `size` bytes each."""
    with open(path, "rb") as file:
        found = [file.read(size) for _ in range(limit)]
    if len(found[-1]) < size:
        raise SystemExit(f"{path} has fewer than {limit} frames of {size} bytes")
    return found


class Camera:
    """Serves `multipart/x-mixed-replace` at `fps`, one client after the other (motion looks first and
    then comes again to stay), until one of them took every frame once. `sent` counts for all clients;
    `began` is the wall clock at the newest client's first frame.
    """

    def __init__(self, frames, fps):
        self.frames, self.fps, self.sent, self.fault, self.began = frames, fps, 0, None, 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.done = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while not self.done.is_set():
            client = self.listener.accept()[0]
            try:
                with client:
                    self._serve_one(client)
                self.done.set()
            except OSError as fault:
                self.fault = fault
        self.listener.close()

    def _serve_one(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = b""
        while b"\r\n\r\n" not in request:
            part = client.recv(4096)
            if not part:
                raise ConnectionError("hung up before asking")
            request += part
        client.sendall(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
            b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        )
        start, self.began = time.monotonic(), time.time()
        for number, frame in enumerate(self.frames):
            time.sleep(max(0.0, start + number / self.fps - time.monotonic()))
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            client.sendall(head % len(frame) + frame + b"\r\n")
            self.sent += 1
        # The reader gets one period to finish the last frame before the line goes dead.
        time.sleep(1 / self.fps)
