"""How long an MP3 plays, told from its frame headers; nothing is decoded.

Frames: ISO/IEC 11172-3 and 13818-3, layer III, and the 2.5 extension. Encoders may leave the number of frames in the first
one: Xing's header (also spelled Info) or Fraunhofer's VBRI. ID3v2 tags in front are skipped.
"""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

_MPEG_1 = 0b11
_MONO = 0b11
_HERTZ = {0b11: (44100, 48000, 32000), 0b10: (22050, 24000, 16000), 0b00: (11025, 12000, 8000)}  # by version bits
_KBITS_OF_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_OF_OTHERS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)

_SYNC = re.compile(rb"\xFF[\xE2\xE3\xF2\xF3\xFA\xFB]")  # the sync bits, a version, and layer III
_HEADER_BYTES = 4
_VBRI_AT = _HEADER_BYTES + 32
_HAS_FRAMES, _HAS_BYTES = 1, 2  # flags of Xing's header
_TRAILERS = (b"TAG", b"APE", b"LYR")  # what may follow the last frame: ID3v1, APE and Lyrics3 tags
_ID3_HEADER_BYTES = 10
_ID3_HAS_FOOTER = 0x10

_HEAD_BYTES = 64 * 1024  #: the first frame begins so soon after the tags
_PROOF_FRAMES = 3  #: so many in a row are no coincidence
_WALKED_BYTES = 2 << 20  #: files up to here are walked from frame to frame; of larger ones, so much is looked at
_SAMPLES = 32


class _Frame(NamedTuple):
    size_bytes: int
    duration_s: float
    bytes_per_s: float
    kind: tuple[int, int]  #: version and sampling rate: all frames of a file share them
    xing_at: int  #: where in the frame Xing's header would be


def duration_s(path: Path) -> float | None:
    """How long the file plays, in seconds; None when it holds no MP3. Of large files it is estimated from samples."""
    with open(path, "rb") as file:
        begin = _behind_tags(file)
        head = _read(file, begin, _HEAD_BYTES)
        first = _first_frame(head)
        if first is None:
            return None
        size_bytes = os.fstat(file.fileno()).st_size - begin - first
        return _counted(head[first:], size_bytes) or _measured(file, begin + first, size_bytes)


def _behind_tags(file: BinaryIO) -> int:
    at = 0
    while (header := _read(file, at, _ID3_HEADER_BYTES)).startswith(b"ID3") and len(header) == _ID3_HEADER_BYTES:
        size_bytes = sum(seven_bits << shift for seven_bits, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
        at += _ID3_HEADER_BYTES * (2 if header[5] & _ID3_HAS_FOOTER else 1) + size_bytes
    return at


def _first_frame(head: bytes) -> int | None:
    return next((sync.start() for sync in _SYNC.finditer(head) if _is_first_frame(head, sync.start())), None)


def _is_first_frame(head: bytes, at: int) -> bool:
    """Whether frames of one kind follow one another from here, to the end or often enough to be no coincidence."""
    first = frame = _frame(head[at : at + _HEADER_BYTES])
    for number in range(1, _PROOF_FRAMES):
        if first is None or frame is None or frame.kind != first.kind:
            return False
        at += frame.size_bytes
        if at >= len(head):
            return number > 1 or at == len(head)
        if head.startswith(_TRAILERS, at):
            return True
        frame = _frame(head[at : at + _HEADER_BYTES])
    return frame is not None and first is not None and frame.kind == first.kind


def _counted(data: bytes, size_bytes: int) -> float | None:
    """The duration by the count in the first frame; None without one, or when more than *size_bytes* was counted."""
    first = _frame(data[:_HEADER_BYTES])
    assert first is not None
    frames, counted_bytes = _xing(data[first.xing_at :]) or _vbri(data[_VBRI_AT:]) or (0, 0)
    return frames * first.duration_s if frames and counted_bytes <= size_bytes else None


def _xing(header: bytes) -> tuple[int, int] | None:
    """How many frames and bytes there are, as far as Xing's header says; None without one."""
    flags = _number(header[4:8])
    if not header.startswith((b"Xing", b"Info")) or not flags & _HAS_FRAMES:
        return None
    return _number(header[8:12]), _number(header[12:16]) if flags & _HAS_BYTES else 0


def _vbri(header: bytes) -> tuple[int, int] | None:
    return (_number(header[14:18]), _number(header[10:14])) if header.startswith(b"VBRI") else None


def _measured(file: BinaryIO, begin: int, size_bytes: int) -> float | None:
    """The duration by the frames themselves: all of a small file, a part of each thirty-second of a large one."""
    if size_bytes <= _WALKED_BYTES:
        return sum(frame.duration_s for frame in _frames(_read(file, begin, size_bytes))) or None
    starts = range(begin, begin + size_bytes, size_bytes // _SAMPLES)
    frames = [frame for start in starts for frame in _frames(_read(file, start, _WALKED_BYTES // _SAMPLES))]
    # Not size_bytes: frames are padded now and then to keep to their bitrate, and a sample may miss it.
    sampled_bytes = sum(frame.bytes_per_s * frame.duration_s for frame in frames)
    return size_bytes * sum(frame.duration_s for frame in frames) / sampled_bytes if frames else None


def _frames(data: bytes) -> Iterator[_Frame]:
    """The frames in *data*; what is none is skipped."""
    at = 0
    while (sync := _SYNC.search(data, at)) is not None:
        at = sync.start()
        frame = _frame(data[at : at + _HEADER_BYTES])
        if frame is None or not _goes_on(data, at + frame.size_bytes, frame):
            at += 1
            continue
        yield frame
        at += frame.size_bytes


def _goes_on(data: bytes, at: int, frame: _Frame) -> bool:
    if at + _HEADER_BYTES > len(data) or data.startswith(_TRAILERS, at):
        return True
    following = _frame(data[at : at + _HEADER_BYTES])
    return following is not None and following.kind == frame.kind


@lru_cache(maxsize=1024)
def _frame(header: bytes) -> _Frame | None:
    """What a frame header says; None when it is none, or leaves the bitrate open."""
    if len(header) < _HEADER_BYTES or not _SYNC.match(header):
        return None
    version, bitrate_index, rate_index = header[1] >> 3 & 0b11, header[2] >> 4, header[2] >> 2 & 0b11
    is_mpeg_1, is_mono = version == _MPEG_1, header[3] >> 6 == _MONO
    if bitrate_index in (0, 15) or rate_index == 0b11:
        return None
    hertz = _HERTZ[version][rate_index]
    bytes_per_s = (_KBITS_OF_MPEG_1 if is_mpeg_1 else _KBITS_OF_OTHERS)[bitrate_index] * 1000 / 8
    seconds = (1152 if is_mpeg_1 else 576) / hertz
    padding_bytes = header[2] >> 1 & 1
    side_bytes = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    return _Frame(
        size_bytes=int(bytes_per_s * seconds + 1e-6) + padding_bytes,
        duration_s=seconds,
        bytes_per_s=bytes_per_s,
        kind=(version, hertz),
        xing_at=_HEADER_BYTES + side_bytes,
    )


def _number(big_endian: bytes) -> int:
    return int.from_bytes(big_endian, "big")


def _read(file: BinaryIO, at: int, size_bytes: int) -> bytes:
    file.seek(at)
    return file.read(size_bytes)
