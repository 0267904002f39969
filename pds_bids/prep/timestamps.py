"""The same transforms, the same bytes: HDF5 writes the time of day into every object header.

Layout and checksum after the HDF5 File Format Specification 3.0, section IV.A.1.b (version 2 of the object
header): `OHDR`, version, flags, four times, size of the first block of messages, the messages, checksum.
"""

from __future__ import annotations

import struct
from pathlib import Path

SIGNATURE = b"OHDR\x02"
TIMES_STORED, PHASE_CHANGE_STORED, SIZE_WIDTH = 0x20, 0x10, 0x03
TIMES = slice(6, 22)
"""Access, modification, change and birth, in seconds since 1970, from the start of a header."""

WORD = 0xFFFFFFFF


def erase_times(path: Path) -> None:
    """Set the times in every object header of an HDF5 file to 0, in place."""
    content = bytearray(path.read_bytes())
    start = content.find(SIGNATURE)
    while start >= 0:
        end = _end(content, start)
        # The four letters may occur among the data as well; the checksum tells.
        if end and struct.unpack_from("<I", content, end)[0] == lookup3(bytes(content[start:end])):
            content[start + TIMES.start : start + TIMES.stop] = bytes(16)
            struct.pack_into("<I", content, end, lookup3(bytes(content[start:end])))
        start = content.find(SIGNATURE, start + 1)
    path.write_bytes(content)


def _end(content: bytearray, start: int) -> int:
    """Where the checksum of the header at `start` stands; 0 for a header without times."""
    flags = content[start + 5] if start + 5 < len(content) else 0
    if not flags & TIMES_STORED:
        return 0
    at = start + TIMES.stop + (4 if flags & PHASE_CHANGE_STORED else 0)
    width = 1 << (flags & SIZE_WIDTH)
    end = at + width + int.from_bytes(content[at : at + width], "little")
    return end if end + 4 <= len(content) else 0


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash of 2006 (`hashlittle`, initial value 0), the checksum of HDF5's metadata.

    Examples
    --------
    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    a = b = c = (0xDEADBEEF + len(data)) & WORD
    if not data:
        return c
    blocks = (len(data) - 1) // 12
    words = struct.unpack(f"<{3 * (blocks + 1)}I", data.ljust(12 * (blocks + 1), b"\0"))
    for i in range(0, 3 * blocks, 3):
        a, b, c = _mix((a + words[i]) & WORD, (b + words[i + 1]) & WORD, (c + words[i + 2]) & WORD)
    return _finish(*((value + word) & WORD for value, word in zip((a, b, c), words[-3:], strict=True)))


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & WORD


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & WORD) ^ _rotate(c, bits)
        c = (c + b) & WORD
        a, b, c = b, c, a
    return a, b, c


def _finish(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, bits)) & WORD
        a, b, c = b, c, a
    return b
