"""Every page by role: walked from the dashboard's own table, so that no new page is forgotten."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx

from offhook.dashboard import PAGES
from offhook.dashboard.visitors import Page
from offhook.roles import RIGHTS, ROLES
from tests.api import Api
from tests.people import signed_in, stranger


async def test_a_stranger_is_led_to_the_sign_in_and_back_from_it(api: Api) -> None:
    browser = stranger(api)
    for page in _closed():
        answer = await _visit(browser, page)
        assert 303 == answer.status_code, page
        place = urlsplit(answer.headers["location"])
        assert "/login" == place.path
        wanted = parse_qs(place.query).get("next")
        assert (None if page.method != "GET" else [_address(page)]) == wanted


async def test_each_role_sees_the_pages_that_it_has_the_right_to_and_no_other(api: Api) -> None:
    for role in ROLES:
        browser = await signed_in(api, role)
        for page in _closed():
            status = (await _visit(browser, page)).status_code
            assert (403 == status) == (role not in RIGHTS[page.right]), (role, page, status)
            assert status < 500, (role, page)


async def test_who_belongs_to_no_organisation_sees_nothing_of_any(api: Api) -> None:
    browser = await signed_in(api, None)
    for page in _closed():
        if page.right != "member":
            assert 403 == (await _visit(browser, page)).status_code, page


async def test_no_page_changes_anything_for_another_site(api: Api) -> None:
    browser = await signed_in(api, "owner")
    for page in PAGES:
        if page.method != "GET":
            for told in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
                assert 403 == (await browser.request(page.method, _address(page), headers=told)).status_code, page


def _closed() -> list[Page]:
    return [page for page in PAGES if page.right != "anyone"]


async def _visit(browser: httpx.AsyncClient, page: Page) -> httpx.Response:
    if page.path == "/live":  # its answer has no end, but its head says all that is asked here
        return await browser.head("/live")
    return await browser.request(page.method, _address(page))


def _address(page: Page) -> str:
    return re.sub(r"{[^}]+}", "0" * 24, page.path)
