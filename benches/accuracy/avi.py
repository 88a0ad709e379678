"""A Motion JPEG AVI, written frame by frame, with exactly the JPEG bytes that it is given."""

import struct


def chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(kind, *parts):
    return chunk(b"LIST", kind + b"".join(parts))


def write(path, frames, size, fps):
    """Writes `frames`, a list of JPEGs of `size` (width, height), at a whole number of `fps`."""
    width, height = size
    largest = max(map(len, frames))
    main = struct.pack(
        "<14I", 1_000_000 // fps, largest * fps, 0, 0x10, len(frames), 0, 1, largest, width, height, 0, 0, 0, 0
    )
    stream = struct.pack(
        "<4s4sI2H8I4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, fps, 0, len(frames), largest, 0xFFFFFFFF, 0, 0, 0, width, height
    )
    image = struct.pack("<3I2H4s5I", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    index, at = [], 4
    for frame in frames:
        index.append(struct.pack("<4s3I", b"00dc", 0x10, at, len(frame)))
        at += 8 + len(frame) + len(frame) % 2
    header = listed(
        b"hdrl", chunk(b"avih", main), listed(b"strl", chunk(b"strh", stream), chunk(b"strf", image))
    )
    movie = listed(b"movi", *(chunk(b"00dc", frame) for frame in frames))
    body = b"AVI " + header + movie + chunk(b"idx1", b"".join(index))
    with open(path, "wb") as file:
        file.write(chunk(b"RIFF", body))
