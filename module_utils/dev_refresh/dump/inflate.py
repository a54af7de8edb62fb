"""Uncompress deflate streams with their check sums: with ISA-L, which needs less than half the time, where it is installed, else with zlib."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .header import DamagedArchiveError

try:
    from isal import isal_zlib as _library
except ImportError:
    import zlib as _library  # type: ignore[no-redef]

_ERROR: Any = _library.error
_MOST = 1 << 20
"""Bytes handed out at once: a few stored bytes may hold a thousand times as many."""
_ZLIB_BITS, _GZIP_BITS = 15, 31


class Inflater:
    """Uncompresses one stream; its end and its check sum must come, and nothing behind them."""

    def __init__(self, *, gzip: bool = False) -> None:
        self._stream: Any = _library.decompressobj(_GZIP_BITS if gzip else _ZLIB_BITS)
        self._gzip = gzip
        self._fed = False

    def feed(self, stored: bytes) -> Iterator[bytes]:
        """Yield what the next stored bytes hold; raises DamagedArchiveError."""
        stream = self._stream
        self._fed = True
        try:
            while True:
                if stream.eof:
                    raise DamagedArchiveError("its compressed data goes on behind its end")
                data = stream.decompress(stored, _MOST)
                if data:
                    yield data
                stored = stream.unconsumed_tail
                if stream.unused_data:
                    raise DamagedArchiveError("its compressed data goes on behind its end")
                # a full piece may leave some that the stream has taken in but not given out
                if not stored and len(data) < _MOST:
                    return
                if not stored and stream.eof:
                    return
        except _ERROR as exc:
            raise DamagedArchiveError("its compressed data cannot be read") from exc

    def end(self) -> None:
        """Check that the stream came to its end; one without any byte holds no data."""
        if not self._stream.eof and (self._fed or self._gzip):
            raise DamagedArchiveError("it ends inside its compressed data")
