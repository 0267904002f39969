import struct

from pds_bids.prep.timestamps import erase_times, lookup3


def header(times: bytes, messages: bytes) -> bytes:
    """A version 2 object header with times and a size of one byte."""
    body = b"OHDR\x02\x20" + times + bytes([len(messages)]) + messages
    return body + struct.pack("<I", lookup3(body))


def test_the_hash_is_bob_jenkins():
    # From the comments of lookup3.c.
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_only_true_headers_change(tmp_path):
    look_alike = b"OHDR\x02\x20 is also a word among the data, of some length"
    path = tmp_path / "x.h5"
    made = []
    for times in (b"\x11" * 16, b"\x22" * 16):
        path.write_bytes(b"start" + header(times, b"message") + look_alike + header(times, b"") + b"OHDR\x02")
        erase_times(path)
        made.append(path.read_bytes())
    zero = bytes(16)
    expected = b"start" + header(zero, b"message") + look_alike + header(zero, b"") + b"OHDR\x02"
    assert made == [expected, expected]
