"""Numbers in E.164, however a carrier, a trunk or a person spells them."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from offhook.phone import caller_and_called, country_of, e164, masked

#: A mobile number of every country, as its numbering plan gives it for an example.
EXAMPLES = {
    country: example
    for country in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (example := phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE))
}
FORMATS = (
    PhoneNumberFormat.NATIONAL,
    PhoneNumberFormat.INTERNATIONAL,
    PhoneNumberFormat.E164,
    PhoneNumberFormat.RFC3966,
)


def spelled(number: phonenumbers.PhoneNumber, style: int) -> str:
    return str(phonenumbers.format_number(number, style))


@pytest.mark.parametrize(
    ("spelling", "country"),
    [
        ("+14165550100", "US"),
        ("14165550100", "US"),
        ("4165550100", "US"),
        ("(416) 555-0100", "CA"),
        ("416.555.0100", "CA"),
        ("+1 416 555 0100", "GB"),
        ("+1-416-555-0100 ext. 12", "US"),
        ("0014165550100", "GB"),
        ("0014165550100", "US"),
        ("14165550100", "DE"),
        ("14165550100", "GB"),
        ("tel:+1-416-555-0100", "US"),
        ("sip:+14165550100@sip.example.com", "US"),
        ("sip:14165550100@192.0.2.1:5060;user=phone", "US"),
        ('"Alex Morgan" <sip:+14165550100@sip.example.com>', "US"),
        ("whatsapp:+14165550100", "US"),
        ("１４１６５５５０１００", "US"),
        (" +14165550100\n", "US"),
    ],
)
def test_one_number_has_one_form_whatever_its_spelling(spelling: str, country: str) -> None:
    assert "+14165550100" == e164(spelling, country)


@pytest.mark.parametrize(
    ("expected", "spelling", "country"),
    [
        ("+447911123456", "07911 123456", "GB"),
        ("+447911123456", "+44 (0)7911 123456", "US"),
        ("+447911123456", "+4407911123456", "US"),
        ("+447911123456", "447911123456", "US"),
        ("+4915112345678", "0151 12345678", "DE"),
        ("+4915112345678", "011 49 151 12345678", "US"),
        ("+390612345678", "+39 06 1234 5678", "US"),
        ("+74951234567", "8 495 123-45-67", "RU"),
        ("+15555550100", "(555) 555-0100", "US"),  # no such area code, but films and tests ring it
    ],
)
def test_what_a_country_dials_before_its_numbers_is_no_part_of_them(expected: str, spelling: str, country: str) -> None:
    assert expected == e164(spelling, country)


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        " ",
        "+",
        "anonymous",
        "Anonymous",
        "Restricted",
        "unavailable",
        "sip:anonymous@anonymous.invalid",
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
        "+266696687",
        "266696687",
        "+7378742833",
        "+2562533",
        "+8656696",
        "+86282452253",
        "alex.morgan",
        "agent4165550100",
        "911",
        "5550100",
        "client:alex",
        "4" * 10_000,
        "+" + "1" * 40,
        "null",
        "\ud800",
        "\0",
    ],
)
def test_whoever_withholds_a_number_has_none(spelling: str) -> None:
    assert e164(spelling) is None


@pytest.mark.parametrize("number", ["+999123456", "+5215512345678"])
def test_a_number_that_its_plan_does_not_know_is_still_a_number(number: str) -> None:
    assert number == e164(number)


@given(st.sampled_from(sorted(EXAMPLES)), st.sampled_from(FORMATS))
def test_every_country_writes_its_numbers_in_several_ways_and_all_are_read(country: str, style: int) -> None:
    number = EXAMPLES[country]
    assert spelled(number, PhoneNumberFormat.E164) == e164(spelled(number, style), country)


@given(st.sampled_from(sorted(EXAMPLES)), st.sampled_from(sorted(EXAMPLES)))
def test_a_number_with_its_plus_is_the_same_in_every_country(country: str, elsewhere: str) -> None:
    number = spelled(EXAMPLES[country], PhoneNumberFormat.E164)
    assert number == e164(number, elsewhere)


@given(
    st.text(alphabet=st.sampled_from("+0123456789 ()-.;@<>sip:telx\u200e٠１"), max_size=24),
    st.sampled_from(sorted(EXAMPLES)),
)
def test_what_was_read_reads_as_itself(spelling: str, country: str) -> None:
    number = e164(spelling, country)
    assert number is None or number == e164(number, country)


@given(st.text(max_size=200), st.text(max_size=3))
def test_nothing_is_too_odd_to_be_read(spelling: str, country: str) -> None:
    number = e164(spelling, country)
    assert number is None or (number[0] == "+" and number[1:].isascii() and number[1:].isdigit())


def test_a_caller_is_read_in_the_country_that_was_called() -> None:
    assert ("+447911123456", "+442079460958") == caller_and_called("07911 123456", "+44 20 7946 0958", "CA")


def test_a_caller_is_read_at_home_when_nobody_knows_what_was_called() -> None:
    assert ("+14165550100", None) == caller_and_called("416 555 0100", None, "CA")
    assert ("+14165550100", None) == caller_and_called("416 555 0100", "sip:reception", "CA")


def test_the_called_number_is_known_when_the_caller_is_withheld() -> None:
    assert (None, "+12362320246") == caller_and_called("anonymous", "(236) 232-0246", "CA")


@pytest.mark.parametrize(
    ("expected", "number"),
    [
        ("CA", "+14165550100"),
        ("GB", "+442079460958"),
        ("US", "+15555550100"),
        (None, "+999123456"),
        (None, "+80012345678"),
    ],
)
def test_a_number_tells_its_country(expected: str | None, number: str) -> None:
    assert expected == country_of(number)


def test_a_log_shows_two_digits() -> None:
    assert "…00" == masked("+14165550100")
    assert "-" == masked(None)
