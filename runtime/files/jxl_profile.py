"""ICC profiles put into JPEG XL codestreams, whose encoder takes none.

Behind the header a profile may stand; the frames behind it begin at a whole byte, so they can be
moved. They don't depend on it where their values are the picture's own, as in files without loss.
Source: ISO/IEC 18181-1, annexes C, D and E.
"""

from __future__ import annotations

from .bits import BitReader, BitWriter
from .jxl_header import read_header

__all__ = ["put_profile"]

_HEAD = 128
"""Bytes of a profile's header, of which most are guessed right."""

_GUESS = bytearray(_HEAD)
_GUESS[8], _GUESS[12:24], _GUESS[36:40] = 4, b"mntrRGB XYZ ", b"acsp"
_GUESS[68:80] = bytes.fromhex("0000f6d6000100000000d32d")
_PLATFORMS = {b"A": b"PPL", b"M": b"SFT", b"SG": b"I ", b"SU": b"N "}
"""Ends of a platform's name, by its begin."""

_INSERT = 1
"""Command to take bytes as they are."""

_CODE_LENGTHS, _PLACE_OF_8 = 18, 10
"""Lengths of codes that a table of lengths may have, and the place of 8 in its order."""


def put_profile(codes: bytes, profile: bytes) -> bytes:
    """Return a codestream whose pixels are of a profile.

    Args:
        codes: of which the values are the picture's own, and that has no profile.
        profile: of the same kind of colours.

    Raises:
        ValueError: it is none of these.
    """
    header = read_header(codes)
    if header.absolute or header.colours.profile:
        raise ValueError("it has a profile, or can have none")
    reader, writer = BitReader(codes), BitWriter()
    begin, end = header.colours_at
    writer.write(reader.read(begin), begin)
    writer.write(0b10, 2)  # not as usual, with a profile
    writer.write(header.colours.space, 2)
    reader.at = end
    writer.write(reader.read(header.end - end), header.end - end)
    _write_bytes(writer, _pack_profile(profile))
    return writer.pack() + codes[(header.end + 7) // 8 :]


def _pack_profile(profile: bytes) -> bytes:
    """Return a profile as annex E has it: its header less what is guessed, and the rest as it is.

    The tags, which could be predicted too, would save some hundred bytes.
    """
    head, rest = profile[:_HEAD], profile[_HEAD:]
    commands = _pack_number(0) + (bytes([_INSERT]) + _pack_number(len(rest)) if rest else b"")
    guess = _guess_head(profile)
    differences = bytes((byte - guess[at]) % 256 for at, byte in enumerate(head))
    return _pack_number(len(profile)) + _pack_number(len(commands)) + commands + differences + rest


def _guess_head(profile: bytes) -> bytes:
    guess = bytearray(_GUESS)
    guess[:4] = len(profile).to_bytes(4, "big")
    guess[80:84] = profile[4:8].ljust(4, b"\0")
    for begin, end in _PLATFORMS.items():
        at = 40 + len(begin)
        if profile[40:at] == begin:
            guess[at : at + len(end)] = end
    return bytes(guess)


def _pack_number(number: int) -> bytes:
    """Return a number in groups of 7 bits."""
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    return bytes([*result, number])


def _write_bytes(writer: BitWriter, data: bytes) -> None:
    """Write a stream of bytes, each with 8 bits: one code for all contexts, of equal lengths."""
    writer.write_long(len(data))
    writer.write(0, 1)  # no copies of earlier bytes
    writer.write(0b001, 3)  # one code for all contexts, as a list of numbers of no bits
    writer.write(1, 1)  # a prefix code
    writer.write(8, 4)  # whose symbols are whole bytes
    writer.write(0, 8)
    writer.write(1, 1)  # of 256 symbols: 1 + 2⁷ + 127
    writer.write(7, 4)
    writer.write(127, 7)
    writer.write(0, 2)  # by a table in which all codes have 8 bits
    for place in range(_CODE_LENGTHS):
        writer.write(1 if place == _PLACE_OF_8 else 0, 2)
    reversed_bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    writer.write(int.from_bytes(data.translate(reversed_bits), "little"), 8 * len(data))
