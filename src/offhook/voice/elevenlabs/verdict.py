"""Why a signature does not match its body: tries what usually happens to secret, body and header on their way. Pure.

A variant that matches is the proof of what went wrong. Where none does, the body is looked at for what cannot be undone.
"""

import base64
import binascii
import contextlib
import gzip
import hmac
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, Literal, NamedTuple

import msgspec

from offhook.voice.elevenlabs.signature import TOLERANCE_S, read_signature

Suspect = Literal["secret", "body", "clock", "header", "proxy"]

_HEX = re.compile(r"\b[0-9a-fA-F]{8,128}\b")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{43}=?(?![A-Za-z0-9+/_-])")
_SECONDS = re.compile(r"(?<![0-9a-zA-Z])[0-9]{9,13}(?![0-9a-zA-Z])")
_NAME = re.compile(r"\s*elevenlabs-signature\s*:\s*", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})(?:;[^\r\n]*)?\r\n")
_DIGEST_DIGITS = 64
_LARGEST_UNPACKED = 64 << 20


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    at_fault: Suspect | None  #: None: the signature is good
    finding: str  #: a sentence
    advice: str | None = None  #: what to do
    signed_at: int | None = None  #: unix; what the header says
    off_by_s: float | None = None  #: how far the clock is ahead of that; negative: behind


class _Variant(NamedTuple):
    """One way in which a part may have been other than it is now."""

    value: bytes
    at_fault: Suspect | None = None  #: None: as it is
    finding: str = ""
    advice: str = ""


class _Claim(NamedTuple):
    """What a header claims, read in one way."""

    t: bytes
    digest: str  #: hex, lower case; may be cut short
    is_dotted: bool = True  #: the time and a dot were signed before the body
    finding: str | None = None  #: what is wrong with the header when it is read so


def judge(secret: str, header: str, body: bytes, now: float) -> Verdict:
    """Which of secret, body, clock, header and proxy is at fault; *now* is unix seconds."""
    header = _NAME.sub("", header, count=1).strip()
    if not header:
        return Verdict(
            at_fault="proxy",
            finding="There is no signature: the header is empty.",
            advice="A proxy drops it, or the webhook in ElevenLabs has no HMAC authentication. Let the proxy pass "
            "ElevenLabs-Signature on.",
        )
    claims = [*_claims(header)]
    secrets, bodies = [*_secrets(secret)], [*_bodies(body)]
    found = _first_match(claims, secrets, bodies)
    return _explained(*found, now) if found else _unexplained(header, claims, secret, body)


def _first_match(
    claims: list[_Claim], secrets: list[_Variant], bodies: list[_Variant]
) -> tuple[_Claim, _Variant, _Variant] | None:
    """The explanation that needs the fewest things to be wrong."""
    for claim, key, content in sorted(product(claims, secrets, bodies), key=_how_much_is_wrong):
        signed = claim.t + b"." + content.value if claim.is_dotted else content.value
        digest = hmac.digest(key.value, signed, "sha256").hex()
        if key.value and hmac.compare_digest(digest[: len(claim.digest)], claim.digest[:_DIGEST_DIGITS]):
            return claim, key, content
    return None


def _how_much_is_wrong(parts: tuple[_Claim, _Variant, _Variant]) -> int:
    claim, key, content = parts
    return (claim.finding is not None) + (key.at_fault is not None) + (content.at_fault is not None)


def _explained(claim: _Claim, key: _Variant, content: _Variant, now: float) -> Verdict:
    wrong = [
        *([_Variant(b"", "header", claim.finding, _HEADER_ADVICE)] if claim.finding else []),
        *(one for one in (key, content) if one.at_fault),
    ]
    t = int(claim.t) if claim.t.isdigit() else None
    off_by_s = None if t is None else now - t
    if wrong:
        finding = " Besides: ".join(one.finding for one in wrong)
        return Verdict(
            at_fault=wrong[0].at_fault, finding=finding, advice=wrong[0].advice, signed_at=t, off_by_s=off_by_s
        )
    if off_by_s is not None and abs(off_by_s) > TOLERANCE_S:
        side = "ahead of" if off_by_s > 0 else "behind"
        return Verdict(
            at_fault="clock",
            finding=f"Secret and body are right, but this clock is {_span(abs(off_by_s))} {side} the signature's time.",
            advice="Compare this machine's clock with a time server (timedatectl, chronyc tracking). If it is right, the "
            "request is an old one that was sent again; `--now` judges it as of another time.",
            signed_at=t,
            off_by_s=off_by_s,
        )
    return Verdict(at_fault=None, finding="The signature is good.", signed_at=t, off_by_s=off_by_s)


def _unexplained(header: str, claims: list[_Claim], secret: str, body: bytes) -> Verdict:
    """Nothing matches: what can be seen of the body, else it is the secret."""
    if not claims:
        return Verdict(at_fault="header", finding=_unreadable(header), advice=_HEADER_ADVICE)
    if not secret.strip():
        return Verdict(at_fault="secret", finding="The secret is empty.", advice=_ADVICE_ON_KEYS)
    if not body:
        finding = "The body is empty: something has read it before, or the proxy did not pass it on."
        return Verdict(at_fault="proxy", finding=finding, advice=_PROXY_ADVICE)
    if (flaw := _flaw(body)) is not None:
        return flaw
    if read_signature(header) is None:
        return Verdict(at_fault="header", finding=_unreadable(header), advice=_HEADER_ADVICE)
    return Verdict(
        at_fault="secret",
        finding="Nothing that usually happens to a body explains it: it was signed with another secret.",
        advice=_ADVICE_ON_KEYS,
    )


def _flaw(body: bytes) -> Verdict | None:
    """What is wrong with *body* as JSON; None when it looks as ElevenLabs sends it."""
    try:
        text = body.decode()
        json.loads(text)
    except UnicodeDecodeError:
        finding = "The body is not UTF-8: it was decoded and encoded again in another encoding."
        return Verdict(at_fault="body", finding=finding, advice=_BODY_ADVICE)
    except RecursionError:
        return None
    except ValueError as error:
        is_cut = isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip()) - 1
        if is_cut or "Unterminated" in str(error):
            finding = f"The body ends in the middle of its JSON, after {len(body)} bytes: something cut it off."
            return Verdict(at_fault="proxy", finding=finding, advice=_LIMIT_ADVICE)
        finding = "The body is no JSON, so it is not what ElevenLabs sent."
        return Verdict(at_fault="body", finding=finding, advice=_BODY_ADVICE)
    if re.search(r'[{\[,]\r?\n[ \t]*["\[{]', text):
        finding = "The body is written over several lines: it was parsed and printed again, and cannot be put back."
        return Verdict(at_fault="body", finding=finding, advice=_BODY_ADVICE)
    return None


def _unreadable(header: str) -> str:
    names = [item.partition("=")[0].strip() for item in header.split(",")]
    if "t" not in names:
        return "The header has no t=<unix seconds>."
    if "v0" not in names:
        return "The header has no v0=<64 hex digits>."
    return "The header's t is no number, or its v0 is not 64 hex digits."


_HEADER_ADVICE = "The header must arrive as it was sent: t=<unix seconds>,v0=<64 hex digits>."
_ADVICE_ON_KEYS = (
    "Compare it with the secret of this very webhook in ElevenLabs, and give it to offhook with `offhook org rotate ORG "
    "webhook-secret --value wsec_...`; each webhook has its own, shown once."
)
_BODY_ADVICE = "Hash the raw bytes as they came, before any framework parses them; save them with `curl --data-binary`."
_PROXY_ADVICE = "Let the proxy pass the body on as it came: no buffering filters, no rewriting, no compression."
_LIMIT_ADVICE = (
    "Raise the limits of proxy and framework (nginx: client_max_body_size); audio events have many megabytes."
)


# The header


def _claims(header: str) -> Iterator[_Claim]:
    """Every way to read it, the right one first."""
    strict = read_signature(header)
    if strict is not None:
        for digest in strict.digests:
            yield _Claim(strict.t_text, digest.hex())
            yield _Claim(strict.t_text, digest.hex(), False, "The body was signed without the time before it.")
    times = _SECONDS.findall(header)
    for claimed in _digests(header):
        for t in times or [""]:
            yield _Claim(t.encode(), claimed, bool(t), _flaw_of_header(header, t, claimed))


def _digests(header: str) -> Iterator[str]:
    for word in _HEX.findall(header):
        if not (word.isdigit() and len(word) < 14):
            yield word.lower()
    for word in _BASE64.findall(header):
        try:
            digest = base64.b64decode(word.translate(str.maketrans("-_", "+/")).rstrip("=") + "=")
        except (binascii.Error, ValueError):
            continue
        yield digest.hex()


def _flaw_of_header(header: str, t: str, digest: str) -> str:
    items = {name.strip(): value.strip() for name, _, value in (item.partition("=") for item in header.split(","))}
    if items.get("t", "").lower() == digest or (t and items.get("v0") == t):
        return "The header's values are swapped: the digest stands at t, the time at v0."
    if len(digest) < _DIGEST_DIGITS:
        return f"The header is cut off: {len(digest)} of the digest's 64 hex digits are there."
    if "v0" not in items and any(re.fullmatch(r"v[1-9]", name) for name in items):
        return "The digest is called v1; ElevenLabs' is v0."
    if not t:
        return "The header has no time."
    if digest not in header.lower():
        return "The digest is written in base64; it must be hex."
    return "The digest is right, but the header is not written as t=<unix seconds>,v0=<hex>."


# The secret


def _secrets(secret: str) -> Iterator[_Variant]:
    plain = secret.encode()
    yield _Variant(plain)
    bare = secret.strip()
    unquoted = bare.strip("\"'`").strip()
    typed = (
        (bare, "The secret has white space around it."),
        (unquoted, "The secret has quotes around it."),
        (unquoted.partition("=")[2].strip("\"' "), "The secret has the name of a variable before it."),
        (unquoted.removeprefix("Bearer ").strip(), "The secret has the word Bearer before it."),
        (unquoted.removeprefix("wsec_"), "The secret was used without its prefix wsec_."),
        (f"wsec_{unquoted}", "The secret lacks its prefix wsec_."),
        (f"{bare}\n", "It was signed with the secret and a line end behind it."),
        (f"{bare} ", "It was signed with the secret and a blank behind it."),
    )
    seen = {plain}
    for value, finding in typed:
        if value and value.encode() not in seen:
            seen.add(value.encode())
            yield _Variant(value.encode(), "secret", finding, "Set it again, exactly as ElevenLabs showed it.")
    for decoded in _decoded_secrets(unquoted.removeprefix("wsec_")):
        yield _Variant(decoded, "secret", "The secret was decoded; its text itself is the key.", _ADVICE_ON_KEYS)


def _decoded_secrets(text: str) -> Iterator[bytes]:
    for decode in (bytes.fromhex, base64.b64decode):
        try:
            yield decode(text)
        except (ValueError, binascii.Error):
            continue


# The body


def _bodies(body: bytes) -> Iterator[_Variant]:
    """As it is, and as it may have been before it came here; each once."""
    yield _Variant(body)
    seen = {body}
    for value, at_fault, finding in (*_framed(body), *_ended(body), *_encoded(body), *_serialised(body)):
        if value not in seen:
            seen.add(value)
            yield _Variant(value, at_fault, finding, _PROXY_ADVICE if at_fault == "proxy" else _BODY_ADVICE)


_Guess = tuple[bytes, Suspect, str]


def _framed(body: bytes) -> Iterator[_Guess]:
    if (unframed := _without_chunks(body)) is not None:
        yield unframed, "proxy", "The body still has the frames of its chunked transfer (sizes between the pieces)."
    if body.startswith(b"\x1f\x8b") and (unpacked := _unpacked(body)) is not None:
        yield unpacked, "proxy", "The body was compressed (gzip) on its way."
    with contextlib.suppress(binascii.Error, ValueError):
        plain = base64.b64decode(body, validate=True)
        yield plain, "proxy", "The body was put into base64 on its way (as gateways do)."


def _without_chunks(body: bytes) -> bytes | None:
    pieces, position = [], 0
    while (size := _CHUNK.match(body, position)) is not None:
        length = int(size[1], 16)
        pieces.append(body[size.end() : size.end() + length])
        position = size.end() + length + 2
        if not length:
            return b"".join(pieces)
    return b"".join(pieces) if pieces and position >= len(body) else None


def _unpacked(body: bytes) -> bytes | None:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            return file.read(_LARGEST_UNPACKED)
    except (OSError, EOFError, zlib.error):
        return None


def _ended(body: bytes) -> Iterator[_Guess]:
    yield body.rstrip(b"\r\n"), "body", "The body has a line end behind it that was not sent (an editor adds one)."
    yield body.strip(), "body", "The body has white space around it that was not sent."
    for end, name in ((b"\n", "a line end"), (b"\r\n", "a line end (CRLF)"), (b" ", "a blank")):
        yield body + end, "body", f"The body lacks {name} at its end that was sent."
    yield body.replace(b"\r\n", b"\n"), "body", "Line ends were changed from LF to CRLF."
    yield body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "body", "Line ends were changed from CRLF to LF."


def _encoded(body: bytes) -> Iterator[_Guess]:
    bom = b"\xef\xbb\xbf"
    yield body.removeprefix(bom), "body", "The body begins with a byte order mark that was not sent."
    yield bom + body, "body", "The byte order mark at the body's begin was taken away."
    ways = (
        ("utf-16", "utf-8", "The body is in UTF-16; it was sent in UTF-8."),
        ("utf-16-le", "utf-8", "The body is in UTF-16; it was sent in UTF-8."),
        ("utf-8", "latin-1", "The body was read as Latin-1 and written as UTF-8: it is encoded twice."),
        ("utf-8", "cp1252", "The body was read as Windows-1252 and written as UTF-8: it is encoded twice."),
        ("latin-1", "utf-8", "The body is in Latin-1; it was sent in UTF-8."),
        ("cp1252", "utf-8", "The body is in Windows-1252; it was sent in UTF-8."),
    )
    for now, before, finding in ways:
        try:
            text = body.decode(now)
            yield text.encode(before), "body", finding
            yield text.rstrip("\r\n").encode(before), "body", finding
        except (UnicodeError, ValueError):
            continue


def _serialised(body: bytes) -> Iterator[_Guess]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(value, str):
        yield value.encode("utf-8", "replace"), "body", "The body was made a JSON string: it is wrapped twice."
        return
    finding = "The body was parsed and written anew: it says the same, in other bytes."
    for text in _written(value):
        yield text.encode("utf-8", "replace"), "body", finding
        yield text.replace("/", "\\/").encode("utf-8", "replace"), "body", finding


def _written(value: Any) -> Iterable[str]:
    """As programs write JSON: compact or with blanks, ASCII or not, indented, in the order of names."""
    layouts: tuple[dict[str, Any], ...] = (
        {"separators": (",", ":")},
        {"separators": (", ", ": ")},
        {"indent": 2},
        {"indent": 4},
        {"indent": "\t"},
    )
    for layout, is_ascii, is_sorted in product(layouts, (False, True), (False, True)):
        try:
            yield json.dumps(value, ensure_ascii=is_ascii, sort_keys=is_sorted, **layout)
        except (ValueError, TypeError, RecursionError):
            return


def _span(seconds: float) -> str:
    """In the two largest units."""
    parts = []
    left = round(seconds)
    for name, size in (("days", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
