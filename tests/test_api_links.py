"""Signed links and ranges, as plain functions."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook import recordings
from offhook.recordings import OutOfRange, Span, asked_span
from offhook.sealing import KeyRing
from offhook.signing import LinkSigner

OLD, NEW = os.urandom(32), os.urandom(32)
SIZES = st.integers(0, 10**12)


def test_a_link_opens_what_it_was_made_for_until_its_moment() -> None:
    signer = LinkSigner(KeyRing([OLD]), "audio")
    signature = signer.signature("call 1", 1000)
    assert signer.opens("call 1", "1000", signature, 999.9)
    assert not signer.opens("call 1", "1000", signature, 1000)
    assert not signer.opens("call 2", "1000", signature, 999)
    assert not signer.opens("call 1", "1001", signature, 999)


def test_a_link_of_one_purpose_opens_nothing_of_another() -> None:
    signature = LinkSigner(KeyRing([OLD]), "audio").signature("call 1", 1000)
    assert not LinkSigner(KeyRing([OLD]), "export").opens("call 1", "1000", signature, 0)


def test_links_outlive_a_rotation_of_the_key_as_long_as_the_old_key_is_there() -> None:
    signature = LinkSigner(KeyRing([OLD]), "audio").signature("call 1", 1000)
    assert LinkSigner(KeyRing([NEW, OLD]), "audio").opens("call 1", "1000", signature, 0)
    assert not LinkSigner(KeyRing([NEW]), "audio").opens("call 1", "1000", signature, 0)


def test_a_derived_key_is_neither_the_key_nor_another_purposes() -> None:
    ring = KeyRing([OLD])
    assert ring.derive("a") == KeyRing([OLD]).derive("a")
    assert 3 == len({OLD, *ring.derive("a"), *ring.derive("b")})


@pytest.mark.parametrize("expires", ["", "x", "-1", "1e9", "٣", " 1000", "1000 ", "1" * 5000])
def test_a_moment_that_is_none_opens_nothing(expires: str) -> None:
    assert not recordings.is_linked(KeyRing([OLD]), "call 1", expires, "0" * 64, 0)


def test_a_moment_has_twelve_digits_at_most() -> None:
    signer = LinkSigner(KeyRing([OLD]), "audio")
    signature = signer.signature("call 1", 999_999_999_999)
    assert signer.opens("call 1", "9" * 12, signature, 0)
    assert not signer.opens("call 1", "0" + "9" * 12, signature, 0)


def test_a_signature_of_what_is_no_character_opens_nothing() -> None:
    assert not LinkSigner(KeyRing([OLD]), "audio").opens("call 1", "1000", "\ud800", 0)


@given(st.text(), st.text())
def test_no_words_make_a_link_by_chance_or_fail(expires: str, signature: str) -> None:
    assert not recordings.is_linked(KeyRing([OLD]), "call 1", expires, signature, 0)


@given(SIZES, SIZES, SIZES)
def test_a_span_is_what_a_slice_would_be(first: int, last: int, size: int) -> None:
    wanted = range(size)[first : last + 1]
    if first > last:
        assert asked_span(f"bytes={first}-{last}", size) is None
    elif not wanted:
        with pytest.raises(OutOfRange):
            asked_span(f"bytes={first}-{last}", size)
    else:
        assert Span(wanted.start, len(wanted)) == asked_span(f"bytes={first}-{last}", size)


@given(SIZES, SIZES)
def test_a_span_of_the_last_bytes_ends_at_the_end(count: int, size: int) -> None:
    if not count or not size:
        with pytest.raises(OutOfRange):
            asked_span(f"bytes=-{count}", size)
    else:
        span = asked_span(f"bytes=-{count}", size)
        assert span is not None
        assert (min(count, size), size) == (span.length, span.start + span.length)


@given(st.text(alphabet="bytes=-, 0123456789٣", max_size=30), st.integers(0, 1000))
def test_no_range_leads_outside_the_file(header: str, size: int) -> None:
    try:
        span = asked_span(header, size)
    except OutOfRange:
        return
    assert span is None or (0 <= span.start and 0 < span.length and span.start + span.length <= size)
