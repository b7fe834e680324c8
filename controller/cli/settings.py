"""Settings of the command: flags beat environment beat `<data-dir>/homeport.toml` beat defaults.

What is not set anywhere stays None and is left to the controller's own default, which so exists once.
"""

import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from controller.cli.errors import CommandFailed, ExitCode

CONFIG_FILE = "homeport.toml"
SYSTEM_DATA_DIR = Path("/var/lib/homeport")
"""Where root's controller keeps its data."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in ("127.0.0.1", "::1", "localhost")

    @property
    def local(self) -> "Address":
        """Where this machine itself reaches it."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        return Address(anywhere.get(self.host, self.host), self.port)


DEFAULT_LISTEN = Address("127.0.0.1", 8480)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set from outside. None: the controller's own default."""

    data_dir: Path
    """Where the controller keeps its store and keys (`--data-dir`, `HOMEPORT_DATA_DIR`)."""

    listen: Address = DEFAULT_LISTEN
    """Where the controller serves (`--listen`, `HOMEPORT_LISTEN`, `listen`)."""

    allow_plain_http: bool = False
    """Serve plain HTTP beyond loopback (`--allow-plain-http`, `allow_plain_http`)."""

    tls: str | None = None
    """`auto` or `off` (`--tls`, `HOMEPORT_TLS`, `tls`)."""

    tls_certificate: str | None = None
    """File with the certificate to serve HTTPS with (`--tls-certificate`, `tls_certificate`)."""

    tls_key: str | None = None
    """File with its private key (`--tls-key`, `tls_key`)."""

    tls_authority: str | None = None
    """File with what clients must trust for it (`--tls-authority`, `tls_authority`)."""

    tls_name: str | None = None
    """Further names for the automatic certificate, with commas (`--tls-name`, `tls_name`)."""

    public_url: str | None = None
    """The URL that agents and clients use, if not the one they called (`--public-url`, `public_url`)."""

    aws_profile: str | None = None
    """The profile to ask the real AWS with (`--aws-profile`, `HOMEPORT_AWS_PROFILE`, `aws_profile`)."""

    database_url: str | None = None
    """The store's SQLAlchemy URL (`--database-url`, `HOMEPORT_DATABASE_URL`, `database_url`)."""

    account_id: str | None = None
    """Twelve digits that every ARN carries (`HOMEPORT_ACCOUNT_ID`, `account_id`)."""

    region: str | None = None
    """The region that every ARN carries (`HOMEPORT_REGION`, `region`)."""

    cluster: str | None = None
    """The cluster that the local agent joins (`--cluster`, `cluster`)."""

    log_format: str | None = None
    """`text` or `json` (`--log-format`, `log_format`)."""

    log_level: str | None = None
    """`debug`, `info`, `warning` or `error` (`--log-level`, `log_level`)."""

    def for_the_network(self) -> "Settings":
        """The same, but reachable by other machines, and with TLS whatever else is set."""
        return replace(
            self,
            listen=Address("0.0.0.0", self.listen.port) if self.listen.is_loopback else self.listen,
            tls=None if self.tls_certificate else "auto",
        )

    @property
    def serves_tls(self) -> bool:
        """Whether the controller serves HTTPS."""
        return self.tls == "auto" or self.tls_certificate is not None

    @property
    def tls_names(self) -> list[str]:
        """The further names, one by one."""
        return [name.strip() for name in (self.tls_name or "").split(",") if name.strip()]

    @property
    def local_url(self) -> str:
        """The URL under which this machine itself reaches the controller."""
        return f"{'https' if self.serves_tls else 'http'}://{self.listen.local}"

    @property
    def network_url(self) -> str:
        """The URL under which other machines most likely reach the controller."""
        if self.public_url:
            return self.public_url.rstrip("/")
        everywhere = self.listen.host in ("0.0.0.0", "::")
        listen = Address(_network_address(), self.listen.port) if everywhere else self.listen
        return f"{'https' if self.serves_tls else 'http'}://{listen}"


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str] | None = None, *, is_root: bool | None = None
) -> Settings:
    """Settle every setting. `flags` holds what was given on the command line, None for what was not.

    Raises `CommandFailed` (usage) for a value that cannot be used, naming where it came from.
    """
    environment = os.environ if environment is None else environment
    data_dir = data_directory(flags.get("data_dir"), environment, is_root=is_root)
    file = data_dir / CONFIG_FILE
    from_file = _read_file(file)
    chosen: dict[str, Any] = {"data_dir": data_dir}
    for name, parse in _PARSERS.items():
        variable = _VARIABLES.get(name, "")
        if flags.get(name) is not None:
            chosen[name] = _parse(parse, flags[name], "--" + name.replace("_", "-"))
        elif environment.get(variable):
            chosen[name] = _parse(parse, environment[variable], variable)
        elif name in from_file:
            chosen[name] = _parse(parse, from_file[name], f"{name} in {file}")
    return Settings(**chosen)


def data_directory(
    flag: Path | str | None,
    environment: Mapping[str, str] | None = None,
    *,
    is_root: bool | None = None,
) -> Path:
    """The data directory: as told, else the place for root or for other users."""
    environment = os.environ if environment is None else environment
    told = flag or environment.get("HOMEPORT_DATA_DIR")
    if told:
        return Path(told).expanduser().absolute()
    is_root = os.geteuid() == 0 if is_root is None else is_root
    return SYSTEM_DATA_DIR if is_root else Path("~/.local/share/homeport").expanduser()


def _network_address() -> str:
    """The address from which this machine calls others; its name where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the way
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def _read_file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        raise CommandFailed(f"not permitted to read {path}", "run this as the user who owns it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} is not valid TOML: {error}", exit_code=ExitCode.USAGE) from None
    unknown = sorted(set(found) - set(_PARSERS))
    if unknown:
        raise CommandFailed(
            f"{path} sets what does not exist: {', '.join(unknown)}",
            f"it may set {', '.join(_PARSERS)}",
            ExitCode.USAGE,
        )
    return found


def _parse(parse: Callable[[Any], Any], value: Any, source: str) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise CommandFailed(f"{source}={value!r} cannot be used: {error}", exit_code=ExitCode.USAGE) from None


def _address(value: Any) -> Address:
    host, _, port = str(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("it must be HOST:PORT, such as 127.0.0.1:8480")
    return Address(host, int(port))


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("it must be a text")
    return value


def _account(value: Any) -> str:
    if not re.fullmatch(r"\d{12}", str(value)):
        raise ValueError("it must be twelve digits")
    return str(value)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return str(value)

    return parse


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "listen": _address,
    "allow_plain_http": _boolean,
    "tls": _one_of("auto", "off"),
    "tls_certificate": _text,
    "tls_key": _text,
    "tls_authority": _text,
    "tls_name": _text,
    "public_url": _text,
    "aws_profile": _text,
    "database_url": _text,
    "account_id": _account,
    "region": _text,
    "cluster": _text,
    "log_format": _one_of("text", "json"),
    "log_level": _one_of("debug", "info", "warning", "error"),
}
_VARIABLES = {
    "listen": "HOMEPORT_LISTEN",
    "tls": "HOMEPORT_TLS",
    "aws_profile": "HOMEPORT_AWS_PROFILE",
    "database_url": "HOMEPORT_DATABASE_URL",
    "account_id": "HOMEPORT_ACCOUNT_ID",
    "region": "HOMEPORT_REGION",
}
assert {"data_dir", *_PARSERS} == {setting.name for setting in fields(Settings)}
