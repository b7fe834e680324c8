"""`python -m controller`: run a controller in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from agent.protocol.clock import SystemClock
from agent.protocol.supervision import RootTaskFailed
from controller import __version__
from controller.api.access_keys import KeyPair
from controller.app import serve
from controller.bootstrap import CannotStart
from controller.config import ControllerConfig
from controller.logs import LEVELS, configure_logging
from controller.state.store.interface import StoreCorrupt, StoreError, StoreInUse, StoreTooNew

log = structlog.get_logger(__name__)

_HOST_NAME = re.compile(r"[A-Za-z0-9_*]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
ROOT_KEY_VARIABLES = ("HOMEPORT_ROOT_ACCESS_KEY_ID", "HOMEPORT_ROOT_SECRET_ACCESS_KEY")
START_FAILURES = (CannotStart, StoreInUse, StoreTooNew, StoreCorrupt, StoreError, OSError)
"""What keeps a controller from starting and needs no stack trace: the message says it all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    options = _parser().parse_args(arguments)
    configure_logging(options.log_format, options.log_level, os.environ)
    os.umask(0o077)  # whatever is made in the data directory is nobody else's business
    try:
        config = settle(options, os.environ)
        asyncio.run(_run(config, chosen_root_key(os.environ)))
    except START_FAILURES as error:
        print(f"homeport controller: {error}", file=sys.stderr)  # noqa: T201  # a person reads this
        return 1
    except RootTaskFailed as error:
        log.critical("controller_ended", reason=str(error))
        return 1
    return 0


def settle(options: argparse.Namespace, environment: Mapping[str, str]) -> ControllerConfig:
    """The settings: flags beat environment beat defaults.

    Raises:
        CannotStart: a value that cannot be used.
    """
    defaults = ControllerConfig(options.data_dir)
    host, port = defaults.listen_host, defaults.listen_port
    if listen := options.listen or environment.get("HOMEPORT_LISTEN"):
        host, port = _address(listen)
    account = environment.get("HOMEPORT_ACCOUNT_ID") or defaults.account
    if not (len(account) == 12 and account.isascii() and account.isdigit()):
        raise CannotStart(f"HOMEPORT_ACCOUNT_ID={account!r} cannot be used: it must be twelve digits")
    config = ControllerConfig(
        data_dir=options.data_dir.absolute(),
        listen_host=host,
        listen_port=port,
        public_url=options.public_url,
        aws_profile=options.aws_profile or environment.get("HOMEPORT_AWS_PROFILE") or None,
        database_url=options.database_url or environment.get("HOMEPORT_DATABASE_URL") or None,
        account=account,
        region=environment.get("HOMEPORT_REGION") or defaults.region,
        cluster=options.cluster or defaults.cluster,
        allow_plain_http=options.allow_plain_http,
        tls=options.tls,
        tls_certificate=options.tls_certificate,
        tls_key=options.tls_key,
        tls_authority=options.tls_authority,
        tls_names=tuple(options.tls_name),
        log_format=options.log_format,
        log_level=options.log_level,
    )
    check_tls(config)
    return config


def check_tls(config: ControllerConfig) -> None:
    """Check that the settings of TLS fit together.

    Raises:
        CannotStart: they do not.
    """
    for name in config.tls_names:
        if not _HOST_NAME.fullmatch(name) and not _is_ip(name):
            raise CannotStart(
                f"--tls-name {name!r} cannot be used: it must be a name or an address, in ASCII"
            )
    if (config.tls_certificate is None) != (config.tls_key is None):
        raise CannotStart("give both or neither of --tls-certificate and --tls-key")
    if config.tls_certificate is None:
        if config.tls_authority is not None:
            raise CannotStart("--tls-authority belongs to a certificate that is given with --tls-certificate")
        return
    if config.tls == "auto":
        raise CannotStart("--tls auto makes a certificate: leave it or --tls-certificate out")
    if config.public_url is None or not config.public_url.startswith("https://"):
        raise CannotStart(
            "a certificate that is given holds for its own names: say with --public-url https://NAME:PORT "
            "under which of them agents and clients reach this controller"
        )


def chosen_root_key(environment: Mapping[str, str]) -> KeyPair | None:
    """The administrator key that the environment chooses, if it does.

    Raises:
        CannotStart: one half of it without the other.
    """
    id_, secret = (environment.get(name, "") for name in ROOT_KEY_VARIABLES)
    if bool(id_) != bool(secret):
        raise CannotStart(f"set both or neither of {' and '.join(ROOT_KEY_VARIABLES)}")
    return KeyPair(id_, secret) if id_ else None


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def _run(config: ControllerConfig, chosen_key: KeyPair | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    await serve(config, SystemClock(), chosen_key, stop)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise CannotStart(f"--listen {text!r} cannot be used: it must be HOST:PORT, such as 127.0.0.1:8480")
    return host, int(port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m controller", description="Run a Homeport controller.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the store and the keys")
    parser.add_argument("--listen", metavar="HOST:PORT", help="where to serve (127.0.0.1:8480)")
    parser.add_argument("--allow-plain-http", action="store_true", help="serve plain HTTP beyond loopback")
    parser.add_argument("--tls", choices=("off", "auto"), default="off", help="serve HTTPS by itself")
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE", help="the certificate for HTTPS")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key")
    parser.add_argument("--tls-authority", type=Path, metavar="FILE", help="what clients must trust for it")
    parser.add_argument("--tls-name", action="append", default=[], metavar="NAME", help="another own name")
    parser.add_argument("--database-url", metavar="URL", help="the store, where not in the data directory")
    parser.add_argument("--cluster", metavar="NAME", help="a cluster to make at the first start")
    parser.add_argument("--public-url", metavar="URL", help="the URL that agents and clients use")
    parser.add_argument("--aws-profile", metavar="NAME", help="the profile to ask the real AWS with")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--log-level", choices=tuple(LEVELS), default="info")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


if __name__ == "__main__":
    sys.exit(main())
