"""Whether a request was sent by a page of ours. The session's cookie is not sent along from elsewhere (SameSite=Lax); this
also holds for a sign-in, which has no cookie yet, and for a neighbour on the same domain.

https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site, read 2026-11.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_ours(method: str, headers: Headers, public_url: str) -> bool:
    """Whether it may change something. A browser says where a request comes from; what says nothing is no browser's."""
    if method in SAFE_METHODS:
        return True
    site = headers.get("sec-fetch-site")  # only on https and localhost
    if site is not None:
        return site in ("same-origin", "none")  # none: the person typed it
    origin = urlsplit(headers.get("origin", ""))
    ours = {headers.get("host", ""), urlsplit(public_url).netloc} - {""}
    return origin.scheme in ("http", "https") and origin.netloc in ours
