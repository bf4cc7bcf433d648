"""Business hours: weekdays, holidays, nights, and the two nights on which clocks are changed."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from offhook import hours
from offhook.errors import Mistake
from offhook.rules import Rules, read_rules

TORONTO = ZoneInfo("America/Toronto")


def is_open(week: str | None, at: str, *holidays: str) -> bool:
    """*week* as typed, None: what an organisation has that decided nothing; *at*: local."""
    rules = Rules() if week is None else read_rules({"business_hours": hours.typed_hours(week)})
    return hours.is_open(rules.business_hours, holidays, datetime.fromisoformat(at))


@pytest.mark.parametrize(
    ("expected", "at"),
    [
        (False, "2026-11-20T08:59:59"),
        (True, "2026-11-20T09:00:00"),
        (True, "2026-11-20T16:59:59"),
        (False, "2026-11-20T17:00:00"),
        (False, "2026-11-21T12:00:00"),  # a Saturday
    ],
)
def test_who_decided_nothing_is_open_in_office_hours(expected: bool, at: str) -> None:
    assert expected is is_open(None, at)


@pytest.mark.parametrize(
    ("expected", "at"),
    [
        (True, "2026-11-20T22:00:00"),
        (True, "2026-11-21T01:59:00"),
        (False, "2026-11-21T02:00:00"),
        (False, "2026-11-20T01:00:00"),  # Thursday's night is none
    ],
)
def test_a_nights_hours_end_on_the_next_day(expected: bool, at: str) -> None:
    assert expected is is_open("fri 22:00-02:00", at)


def test_a_holiday_is_closed_with_the_night_that_begins_on_it_and_the_night_that_ends_on_it() -> None:
    week = "mon-sun 18:00-03:00"
    assert is_open(week, "2026-12-24T20:00", "12-25")
    assert not is_open(week, "2026-12-25T01:00", "12-25")
    assert not is_open(week, "2026-12-25T20:00", "2026-12-25")
    assert not is_open(week, "2026-12-26T01:00", "12-25")
    assert is_open(week, "2026-12-26T20:00", "12-25")
    assert is_open(week, "2027-12-25T20:00", "2026-12-25")


def test_around_the_clock_is_a_day_that_ends_where_it_begins() -> None:
    for week in ("mon-sun 00:00-24:00", "mon-sun 00:00-00:00"):
        assert all(is_open(week, f"2026-11-{day}T{hour:02}:30") for day in (16, 20, 22) for hour in (0, 3, 12, 23))


@pytest.mark.parametrize(
    ("expected", "utc"),
    [
        (False, "2026-03-08T06:59:00+00:00"),  # 01:59 before the gap
        (True, "2026-03-08T07:00:00+00:00"),  # 03:00 after it
        (True, "2026-03-08T12:59:00+00:00"),  # 08:59 in summer time
        (False, "2026-03-08T13:00:00+00:00"),
        (False, "2026-11-01T07:59:00+00:00"),  # 02:59 in winter time
        (True, "2026-11-01T13:59:00+00:00"),  # 08:59
        (False, "2026-11-01T14:00:00+00:00"),
    ],
)
def test_the_clock_on_the_wall_counts_when_clocks_are_changed(expected: bool, utc: str) -> None:
    week = read_rules({"business_hours": hours.typed_hours("sun 03:00-09:00")}).business_hours
    assert expected is hours.is_open(week, (), datetime.fromisoformat(utc).astimezone(TORONTO))


def test_hours_are_typed_as_people_write_them() -> None:
    nine_to_five = [{"begin": "09:00", "end": "17:00"}]
    assert {"mon": nine_to_five, "tue": nine_to_five, "sat": [{"begin": "10:00", "end": "14:00"}]} == hours.typed_hours(
        "Monday-Tue 9-17; sat 10:00 - 14:00"
    )
    assert {"sat": nine_to_five, "sun": nine_to_five, "mon": nine_to_five} == hours.typed_hours("sat-mon 9 to 17")
    assert {"fri": [{"begin": "09:00", "end": "12:00"}, {"begin": "13:00", "end": "24:00"}]} == hours.typed_hours(
        "fri 9-12, 13-24"
    )
    assert {} == hours.typed_hours("closed")


@pytest.mark.parametrize(
    "typed", ["", ";", "9-17", "mon", "mon 9", "mon 25-26", "mon 9-17,", "noday 9-17", "mon- 9-1x"]
)
def test_hours_that_cannot_be_read_are_refused_with_an_example(typed: str) -> None:
    with pytest.raises(Mistake, match="mon-fri 09:00-17:00"):
        hours.typed_hours(typed)


def test_holidays_are_days_or_days_of_every_year() -> None:
    assert ["12-25", "02-29", "2027-04-02"] == hours.typed_holidays("12-25, 02-29 2027-04-02")
    assert [] == hours.typed_holidays("")
    for typed in ("2027-02-29", "13-01", "Christmas"):
        with pytest.raises(Mistake, match="is no day"):
            hours.typed_holidays(typed)


def test_hours_that_nobody_can_read_are_closed_and_harm_nothing() -> None:
    rules = read_rules({"business_hours": {"fri": [{"begin": "soon", "end": "17:00"}, {"begin": "24:30", "end": "1"}]}})
    assert not hours.is_open(rules.business_hours, ("never",), datetime.fromisoformat("2026-11-20T12:00"))
