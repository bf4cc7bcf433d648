"""offhook verify names the one at fault: each finding by a real body that went through what it speaks of."""

import base64
import gzip
import hmac
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from offhook.voice.elevenlabs.verdict import judge

SECRET = "wsec_" + "5e" * 32
NOW = 1_747_580_641
BODY = json.dumps(
    {"type": "post_call_transcription", "data": {"url": "https://a/b", "message": "Grüße, “Alex” 😀", "cost": 1.5}},
    ensure_ascii=False,
    separators=(",", ":"),
).encode()


def digest(body: bytes = BODY, secret: str = SECRET, t: object = NOW) -> str:
    return hmac.digest(secret.encode(), f"{t}.".encode() + body, "sha256").hex()


def header(**signed: Any) -> str:
    return f"t={signed.get('t', NOW)},v0={digest(**signed)}"


SAID = json.loads(BODY)
FAULTS: dict[str, tuple[str, str, bytes, str]] = {
    # name: (secret, header, body, at fault)
    "newline added": (SECRET, header(), BODY + b"\n", "body"),
    "CRLF added": (SECRET, header(), BODY + b"\r\n", "body"),
    "newline lost": (SECRET, header(body=BODY + b"\n"), BODY, "body"),
    "Python's blanks": (SECRET, header(), json.dumps(SAID, ensure_ascii=False).encode(), "body"),
    "Python's escapes": (SECRET, header(), json.dumps(SAID).encode(), "body"),
    "printed": (SECRET, header(), json.dumps(SAID, indent=2).encode(), "body"),
    "printed before": (SECRET, header(body=json.dumps(SAID, indent=4).encode()), BODY, "body"),
    "sorted before": (SECRET, header(body=json.dumps(SAID, sort_keys=True).encode()), BODY, "body"),
    "PHP's slashes before": (SECRET, header(body=BODY.replace(b"/", b"\\/")), BODY, "body"),
    "a string": (SECRET, header(), json.dumps(BODY.decode()).encode(), "body"),
    "BOM": (SECRET, header(), b"\xef\xbb\xbf" + BODY, "body"),
    "UTF-16": (SECRET, header(), BODY.decode().encode("utf-16"), "body"),
    "encoded twice": (SECRET, header(), BODY.decode("latin-1").encode(), "body"),
    "CRLF for LF": (SECRET, header(body=BODY + b"\n\n"), BODY + b"\r\n\r\n", "body"),
    "gzip": (SECRET, header(), gzip.compress(BODY), "proxy"),
    "base64": (SECRET, header(), base64.b64encode(BODY), "proxy"),
    "chunks": (SECRET, header(), b"10\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (BODY[:16], len(BODY) - 16, BODY[16:]), "proxy"),
    "cut off": (SECRET, header(), BODY[:60], "proxy"),
    "empty": (SECRET, header(), b"", "proxy"),
    "no header": (SECRET, "", BODY, "proxy"),
    "other secret": ("wsec_" + "7a" * 32, header(), BODY, "secret"),
    "blank secret": (" ", header(), BODY, "secret"),
    "white space": (f" {SECRET}\n", header(), BODY, "secret"),
    "quotes": (f'"{SECRET}"', header(), BODY, "secret"),
    "variable": (f"SECRET={SECRET}", header(), BODY, "secret"),
    "no prefix": (SECRET.removeprefix("wsec_"), header(), BODY, "secret"),
    "signed without prefix": (SECRET, header(secret=SECRET.removeprefix("wsec_")), BODY, "secret"),
    "v1": (SECRET, header().replace("v0", "v1"), BODY, "header"),
    "header cut off": (SECRET, header()[:50], BODY, "header"),
    "swapped": (SECRET, f"t={digest()},v0={NOW}", BODY, "header"),
    "no time": (SECRET, f"v0={digest()}", BODY, "header"),
    "base64 digest": (SECRET, f"t={NOW},v0=" + base64.b64encode(bytes.fromhex(digest())).decode(), BODY, "header"),
    "semicolon": (SECRET, header().replace(",", ";"), BODY, "header"),
    "unsigned time": (SECRET, f"t={NOW},v0=" + hmac.digest(SECRET.encode(), BODY, "sha256").hex(), BODY, "header"),
    "nonsense": (SECRET, "hello", BODY, "header"),
    "old": (SECRET, header(t=NOW - 7380), BODY, "clock"),
    "from the future": (SECRET, header(t=NOW + 1900), BODY, "clock"),
    "not JSON": (SECRET, header(), b"type=post_call_transcription&data=1", "body"),
    "not UTF-8": (SECRET, header(), BODY.replace("ü".encode(), b"\xfc\xff"), "body"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_the_one_at_fault_is_named(name: str) -> None:
    secret, head, body, at_fault = FAULTS[name]
    verdict = judge(secret, head, body, NOW)
    assert at_fault == verdict.at_fault, verdict
    assert verdict.advice
    assert verdict.finding.endswith(".")


GOOD = [header(), header().upper().replace("T=", "t=").replace("V0", "v0"), f"ElevenLabs-Signature: {header()}",
        header().replace(",", ", "), f"{header()},v0={'0' * 64}", f"t={NOW},v0={'0' * 64},v0={digest()}"]  # fmt: skip


@pytest.mark.parametrize("head", GOOD)
def test_a_good_signature_is_good(head: str) -> None:
    verdict = judge(SECRET, head, BODY, NOW + 1799)
    assert (None, NOW, 1799) == (verdict.at_fault, verdict.signed_at, verdict.off_by_s)


def test_it_says_how_far_the_clock_is_off() -> None:
    assert "2 h 3 min ahead" in judge(SECRET, header(), BODY, NOW + 7380).finding
    assert "3 days 1 h behind" in judge(SECRET, header(), BODY, NOW - 3 * 86_400 - 3600).finding


def test_two_things_wrong_are_both_said() -> None:
    verdict = judge(f"{SECRET} ", header(), BODY + b"\n", NOW)
    assert "white space" in verdict.finding
    assert "line end" in verdict.finding


def offhook(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "offhook", "verify", *arguments], input=stdin, capture_output=True)


def test_the_command_prints_one_verdict_and_its_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(BODY)
    told = ("--secret", SECRET, "--header", header(), "--now", "2025-05-18T15:04:01Z")
    good = offhook(*told, str(file), "--json")
    assert (0, b"") == (good.returncode, good.stderr)
    assert (None, "2025-05-18T15:04:01.000Z") == tuple(
        json.loads(good.stdout)[key] for key in ("at_fault", "signed_at")
    )
    bad = offhook(*told, "-", stdin=BODY + b"\n")
    assert (1, True) == (bad.returncode, bad.stdout.startswith(b"body: "))
    for typed in ((*told, "/nowhere/body"), ("--secret", SECRET, str(file)), (*told[:4], "--now", "soon", str(file))):
        wrong = offhook(*typed)
        assert (2, b"") == (wrong.returncode, wrong.stdout)
        assert wrong.stderr.startswith(b"offhook: ")
