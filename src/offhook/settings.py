"""Settings, all from the environment; `offhook.example.env` says what each is for. A mistake is one sentence."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from offhook.errors import Mistake
from offhook.outgoing import Reach
from offhook.sealing import KeyRing

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Words = Annotated[tuple[str, ...], NoDecode]
AnySettings = TypeVar("AnySettings", bound=BaseSettings)

#: Where ElevenLabs sends webhooks from, by region: US, EU, EU residency, Asia, India, Singapore.
#: https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks, read 2026-10.
ELEVENLABS_EGRESS = (
    "34.67.146.145", "34.59.11.47",
    "35.204.38.71", "34.147.113.54", "34.77.234.246", "34.140.184.144",
    "35.185.187.110", "35.247.157.189",
    "34.93.26.174", "34.93.252.69",
    "34.87.23.17", "34.126.179.103",
)  # fmt: skip


class Settings(BaseSettings):
    """What a running offhook was told. Frozen: nothing changes its mind at run time."""

    model_config = SettingsConfigDict(env_prefix="OFFHOOK_", frozen=True, extra="ignore")

    data_dir: Path = Path("offhook-data")
    database_url: str = ""
    redis_url: str = ""
    storage_url: str = ""
    spool_dir: Words = ()
    secret_key: str = ""
    public_url: str = ""
    sms: str = "console"
    elevenlabs_url: str = "https://api.elevenlabs.io"
    elevenlabs_api_key: str = ""
    alert_url: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    allowed_senders: Words = ()
    trusted_proxies: Words = ()
    body_limit_mib: int = Field(default=16, ge=1, le=512)
    recording_limit_mib: int = Field(default=256, ge=1, le=4096)
    outgoing_networks: Words = ()
    outgoing_ports: Words = ()
    unproven_quota_mib: int = Field(default=4096, ge=16)
    ballast_mib: int = Field(default=64, ge=0, le=65_536)
    accept_budget_ms: int = Field(default=750, ge=50, le=10_000)
    greeting_budget_ms: int = Field(default=1000, ge=50, le=5_000)
    session_idle_hours: float = Field(default=12, gt=0, le=24 * 366)
    session_days: int = Field(default=30, ge=1, le=366)
    password_memory_kib: int = Field(default=65_536, ge=8, le=4 << 20)
    password_rounds: int = Field(default=3, ge=1, le=100)

    @field_validator(
        "spool_dir", "allowed_senders", "trusted_proxies", "outgoing_networks", "outgoing_ports", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("outgoing_ports")
    @classmethod
    def _readable_ports(cls, words: Sequence[str]) -> Sequence[str]:
        if any(not (word.isascii() and word.isdigit() and 0 < int(word) < 65_536) for word in words):
            raise ValueError("ports are numbers up to 65535")
        return words

    @field_validator("allowed_senders", "trusted_proxies", "outgoing_networks")
    @classmethod
    def _readable_networks(cls, words: Sequence[str]) -> Sequence[str]:
        for word in words:
            if word != "elevenlabs":
                ipaddress.ip_network(word, strict=False)
        return words

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url and urlsplit(url).scheme not in ("sqlite", "postgresql", "postgres"):
            raise ValueError("it must begin with sqlite:/// or postgresql://")
        return url

    @field_validator("redis_url")
    @classmethod
    def _known_cache(cls, url: str) -> str:
        if url and urlsplit(url).scheme not in ("redis", "rediss", "unix"):
            raise ValueError("it must begin with redis://, rediss:// or unix://")
        return url

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, url: str) -> str:
        if url and urlsplit(url).scheme != "file":
            raise ValueError("this version keeps recordings on disk: it must begin with file:///")
        return url

    @field_validator("database_url", "redis_url")
    @classmethod
    def _readable_port(cls, url: str) -> str:
        """What stands before the host is not looked at: it is a password, and no error may repeat a piece of it."""
        scheme, _, rest = url.partition("://")
        try:
            _ = scheme in ("sqlite", "unix") or urlsplit("//" + rest.rpartition("@")[2]).port
        except ValueError:
            raise ValueError("its port must be a number up to 65535") from None
        return url

    @field_validator("public_url", "elevenlabs_url")
    @classmethod
    def _absolute(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
            raise ValueError("it must be an absolute address such as https://calls.example.com")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _shared_database_needs_a_shared_key(self) -> Self:
        if not self.is_sqlite and not self.secret_key:
            raise ValueError(
                "OFFHOOK_SECRET_KEY must be set with PostgreSQL, else each replica seals with a key of its own; "
                "`offhook db new-key` prints one"
            )
        return self

    @property
    def is_sqlite(self) -> bool:
        return not self.database_url.startswith("postgres")

    @property
    def sqlite_path(self) -> Path:
        path = urlsplit(self.database_url).path
        if not path:
            return self.data_dir / "offhook.db"
        return Path(path) if path.startswith("//") else Path(path.removeprefix("/"))

    def key_ring(self) -> KeyRing:
        """The keys of OFFHOOK_SECRET_KEY, else those of the data directory, made there when there are none."""
        return (
            KeyRing.from_text(self.secret_key) if self.secret_key else KeyRing.from_file(self.data_dir / "secret.key")
        )

    @property
    def recordings_dir(self) -> Path:
        return Path(urlsplit(self.storage_url).path) if self.storage_url else self.data_dir / "recordings"

    @property
    def bodies_dir(self) -> Path:
        return self.data_dir / "bodies"

    @property
    def spool_dirs(self) -> tuple[Path, ...]:
        return tuple(Path(word) for word in self.spool_dir) or (self.data_dir / "spool",)

    @property
    def folders(self) -> dict[str, Path]:
        """Every folder that something is kept in, by what it is called."""
        spools = {f"spool {place}": folder for place, folder in enumerate(self.spool_dirs, start=1)}
        return {"data": self.data_dir, "recordings": self.recordings_dir, "bodies": self.bodies_dir, **spools}

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        words = [egress for word in self.allowed_senders for egress in _spelled_out(word)]
        return tuple(ipaddress.ip_network(word, strict=False) for word in words)

    @property
    def reach(self) -> Reach:
        """Where requests may go whose address somebody else chose."""
        networks = tuple(ipaddress.ip_network(word, strict=False) for word in self.outgoing_networks)
        return Reach(networks, frozenset(map(int, self.outgoing_ports)))

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(word, strict=False) for word in self.trusted_proxies)


def load(**overrides: Any) -> Settings:
    """Read the environment; Mistake with one sentence that names the variable and says what to set."""
    return read_settings(Settings, **overrides)


def read_settings(kind: type[AnySettings], **overrides: Any) -> AnySettings:
    """The same for settings that only one file needs, such as a provider's own."""
    try:
        return kind(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        said = str(first["msg"]).removeprefix("Value error, ")
        if not first["loc"]:
            raise Mistake(said + ".") from None
        prefix = kind.model_config.get("env_prefix", "")
        name = str(first["loc"][0]).removeprefix(prefix)
        raise Mistake(f"{prefix}{name.upper()} cannot be used: {said}.") from None


def _spelled_out(word: str) -> Sequence[str]:
    return ELEVENLABS_EGRESS if word == "elevenlabs" else (word,)
