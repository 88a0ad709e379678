"""A Motion JPEG AVI, written frame by frame, with exactly the JPEG bytes that it is given."""

import struct


def chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(kind, *parts):
    return chunk(b"LIST", kind + b"".join(parts))


def header(count, largest, size, fps):
    """Everything before the frames; as long for any numbers."""
    width, height = size
    main = struct.pack(
        "<14I", 1_000_000 // fps, largest * fps, 0, 0x10, count, 0, 1, largest, width, height, 0, 0, 0, 0
    )
    stream = struct.pack(
        "<4s4sI2H8I4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, fps, 0, count, largest, 0xFFFFFFFF, 0, 0, 0, width, height
    )
    image = struct.pack("<3I2H4s5I", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    return listed(b"hdrl", chunk(b"avih", main), listed(b"strl", chunk(b"strh", stream), chunk(b"strf", image)))


def write(path, frames, size, fps):
    """Writes `frames`, JPEGs of `size` (width, height), at a whole number of `fps`; below 2 GB in all.
    Tells how many there were and their bytes."""
    index, largest, total = [], 0, 0
    with open(path, "wb") as file:
        before = header(0, 0, size, fps)
        file.write(chunk(b"RIFF", b"AVI ") + before + chunk(b"LIST", b"movi"))
        start = file.tell() - 4
        for frame in frames:
            index.append(struct.pack("<4s3I", b"00dc", 0x10, file.tell() - start, len(frame)))
            file.write(chunk(b"00dc", frame))
            largest, total = max(largest, len(frame)), total + len(frame)
        end = file.tell()
        file.write(chunk(b"idx1", b"".join(index)))
        file.seek(4)
        file.write(struct.pack("<I", start + 4 + (end - start - 4) + 8 + 16 * len(index) - 8))
        file.seek(12)
        file.write(header(len(index), largest, size, fps))
        file.seek(start - 4)
        file.write(struct.pack("<I", end - start))
    return len(index), total
