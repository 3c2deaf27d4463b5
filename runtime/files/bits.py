"""Bits of JPEG XL codestreams, the lowest of each byte first. Source: ISO/IEC 18181-1, annex B."""

from __future__ import annotations

__all__ = ["BitReader", "BitWriter"]

_VALUE = 0
"""Width of a distribution's part that is one number and takes no bits."""


class BitReader:
    """Reads numbers from bytes."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        """Begin at a bit.

        Args:
            data: the bytes, from which copies of a few are taken at a time.
            at: offset of the first bit.
        """
        self._data = data
        self.at = at
        """Offset of the next bit."""

    def read(self, bits: int) -> int:
        """Return the next number of so many bits.

        Raises:
            ValueError: there are not so many.
        """
        end = self.at + bits
        if end > 8 * len(self._data):
            raise ValueError("the file is truncated")
        part = int.from_bytes(self._data[self.at // 8 : (end + 7) // 8], "little")
        number = part >> self.at % 8 & (1 << bits) - 1
        self.at = end
        return number

    def flag(self) -> bool:
        """Return the next bit as a truth."""
        return bool(self.read(1))

    def choice(self, *parts: tuple[int, int]) -> int:
        """Return a number of one of four widths, each with what is added to it."""
        added, bits = parts[self.read(2)]
        return added + (0 if bits == _VALUE else self.read(bits))

    def enum(self) -> int:
        """Return a number that stands for a name."""
        return self.choice((0, _VALUE), (1, _VALUE), (2, 4), (18, 6))

    def long(self) -> int:
        """Return a number of up to 64 bits."""
        selector = self.read(2)
        if selector < 3:
            return (0, 1, 17)[selector] + self.read(4 * selector)
        number, shift = self.read(12), 12
        while self.flag():
            if shift == 60:
                return number | self.read(4) << shift
            number |= self.read(8) << shift
            shift += 8
        return number


class BitWriter:
    """Collects numbers of some bits each."""

    def __init__(self) -> None:
        self._number = self._bits = 0

    def write(self, number: int, bits: int) -> None:
        """Add a number's lowest bits."""
        self._number |= (number & (1 << bits) - 1) << self._bits
        self._bits += bits

    def write_long(self, number: int) -> None:
        """Add a number of up to 64 bits, as :meth:`BitReader.long` reads it."""
        if number < 273:
            selector = 0 if not number else 1 if number < 17 else 2
            self.write(selector, 2)
            self.write(number - (0, 1, 17)[selector], 4 * selector)
            return
        self.write(3, 2)
        self.write(number, 12)
        number >>= 12
        while number:  # of a length in bytes, never more than 60 bits
            self.write(1, 1)
            self.write(number, 8)
            number >>= 8
        self.write(0, 1)

    def pack(self) -> bytes:
        """Return the bytes; the last is filled with zeros."""
        return self._number.to_bytes((self._bits + 7) // 8, "little")
