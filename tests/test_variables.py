"""Names as an agent may be told them: data in a narrow grammar, whatever somebody wrote into a contact."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.variables import MAX_NAME_CHARS, organization_name, person_name


def is_in_grammar(name: str) -> bool:
    return (
        0 < len(name) <= MAX_NAME_CHARS
        and name == " ".join(name.split())
        and all(char in " '-." or unicodedata.category(char)[0] in "LM" for char in name)
        and any(char.isalpha() for char in name)
    )


@pytest.mark.parametrize(
    "name",
    [
        "Alex Morgan",
        "Anne-Marie O'Brien",
        "J. R. R. Tolkien",
        "'t Hooft",
        "Nguyễn Thị Minh Khai",
        "José Müller-Lüdenscheidt",
        "田中 太郎",
        "प्रिया शर्मा",
        "שָׁלוֹם עליכם",
        "محمد علي",
        "สมชาย ใจดี",
    ],
)
def test_a_name_is_told_as_it_is_written(name: str) -> None:
    assert unicodedata.normalize("NFC", name) == person_name(*name.split(" ", 1))


@pytest.mark.parametrize(
    ("expected", "first", "last"),
    [
        ("Alex", "Alex", None),
        ("Morgan", None, "Morgan"),
        ("O'Brien-Smith", "O’Brien‑Smith", None),
        ("Smith John", "Smith,John", None),
        ("Alex Morgan", " Alex\n\t", "😀 Morgan "),
        ("Alex", "Alex", "{{system__caller_id}}"),
        ("Alex", "Alex", "<script>alert(1)</script>"),
        ("Alex", "Alex", "007"),
        ("Alex", "A\u200dl\u202ee\u2066x\u0000", None),
        ("Full", "Ｆｕｌｌ", None),
        ("ZḀḶGO", "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮", None),
        ("A" * 64, "A" * 500, "Morgan"),
        ("word " * 12 + "word", "word " * 40, None),
    ],
)
def test_what_is_no_part_of_a_name_is_left_out(expected: str, first: str | None, last: str | None) -> None:
    assert expected == person_name(first, last)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "...",
        "-",
        "'",
        "12345",
        "😀",
        "alex@example.com",
        "{{secret__token}}",
        "https://evil.example",
        "\u202e\u0301",
    ],
)
def test_whoever_has_no_name_left_is_nobody(name: str) -> None:
    assert person_name(name, None) is None


def test_naughty_strings_become_names_or_nothing(corpora: Path) -> None:
    for naughty in json.loads((corpora / "strings" / "blns.json").read_text("utf-8")):
        for name in person_name(naughty, None), person_name("Alex", naughty), person_name(None, naughty):
            assert name is None or is_in_grammar(name), naughty


@given(st.one_of(st.none(), st.text(max_size=600)), st.one_of(st.none(), st.text(max_size=600)))
def test_no_text_leaves_the_grammar(first: str | None, last: str | None) -> None:
    name = person_name(first, last)
    assert name is None or is_in_grammar(name)
    assert name == person_name(name, None)


@pytest.mark.parametrize(
    "name",
    [
        "Acme Corp",
        "24/7 Plumbing & Sons (Ontario), Ltd.",
        "Müller GmbH + Co. KG",
        "株式会社 田中",
        "Route 66 Motors #2",
    ],
)
def test_an_organisation_is_told_as_its_people_write_it(name: str) -> None:
    assert name == organization_name(name)


@given(st.text(max_size=600))
def test_no_organisation_brings_braces_or_invisible_characters(name: str) -> None:
    told = organization_name(name)
    if told is not None:
        assert len(told) <= MAX_NAME_CHARS
        assert not set('{}<>"`') & set(told)
        assert all(char == " " or unicodedata.category(char)[0] in "LMNPS" for char in told)
