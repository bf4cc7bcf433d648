"""What is sealed opens with the ring that sealed it, where it belongs, and nowhere else."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import Damaged, Mistake
from offhook.sealing import OVERHEAD_BYTES, KeyRing, new_key_text

OLD, NEW = b"o" * 32, b"n" * 32


@given(plain=st.binary(), bound_to=st.text())
def test_what_is_sealed_opens_where_it_belongs(plain: bytes, bound_to: str) -> None:
    sealed = KeyRing([OLD]).seal(plain, bound_to)
    assert plain == KeyRing([OLD]).open(sealed, bound_to)
    assert len(plain) + OVERHEAD_BYTES == len(sealed)


@given(plain=st.binary(), bound_to=st.text())
def test_what_is_packed_opens_where_it_belongs_and_what_repeats_takes_less(plain: bytes, bound_to: str) -> None:
    ring = KeyRing([OLD])
    assert plain == ring.open(ring.pack(plain, bound_to), bound_to)
    assert len(ring.pack(plain * 1000, bound_to)) <= len(plain) * 20 + 100


@pytest.mark.parametrize("versions", [(1, 2), (2, 1)])
def test_what_says_it_is_packed_and_is_not_is_damaged(versions: tuple[int, int]) -> None:
    ring = KeyRing([OLD])
    for sealed in (ring.seal(b"secret", "row"), ring.pack(b"secret", "row")):
        if sealed[0] == versions[0]:
            with pytest.raises(Damaged):
                ring.open(bytes([versions[1]]) + sealed[1:], "row")


def test_what_is_moved_to_another_row_is_damaged() -> None:
    with pytest.raises(Damaged):
        KeyRing([OLD]).open(KeyRing([OLD]).seal(b"secret", "row 1"), "row 2")


@given(at=st.integers(0, 5 + OVERHEAD_BYTES), is_packed=st.booleans())
def test_what_is_changed_anywhere_is_damaged(at: int, is_packed: bool) -> None:
    seal = KeyRing([OLD]).pack if is_packed else KeyRing([OLD]).seal
    sealed = bytearray(seal(b"secret", "row"))
    sealed[at] ^= 1
    with pytest.raises(Damaged):
        KeyRing([OLD]).open(bytes(sealed), "row")


def test_a_new_key_in_front_still_opens_what_the_old_one_sealed() -> None:
    sealed = KeyRing([OLD]).seal(b"secret", "row")
    assert b"secret" == KeyRing([NEW, OLD]).open(sealed, "row")
    with pytest.raises(Damaged, match="add that key"):
        KeyRing([NEW]).open(sealed, "row")


def test_keys_are_read_in_hex_and_base64() -> None:
    ring = KeyRing.from_text(f" {OLD.hex()} , {new_key_text()},")
    assert b"secret" == ring.open(KeyRing([OLD]).seal(b"secret", "row"), "row")


@pytest.mark.parametrize("text", ["", ",", "short", "ab" * 31, f"{'ab' * 32},short"])
def test_what_is_no_key_is_a_mistake_that_says_how_to_make_one(text: str) -> None:
    with pytest.raises(Mistake, match="OFFHOOK_SECRET_KEY must be keys of 32 bytes"):
        KeyRing.from_text(text)


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"
    sealed = KeyRing.from_file(path).seal(b"secret", "row")
    assert b"secret" == KeyRing.from_file(path).open(sealed, "row")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(path.parent.iterdir())
