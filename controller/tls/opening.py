"""The TLS that the settings ask for."""

from __future__ import annotations

import ssl

from agent.protocol.clock import Clock
from controller.bootstrap import CannotStart
from controller.config import ControllerConfig
from controller.tls.automatic import AuthorityDamaged, AutomaticTls
from controller.tls.given import GivenTls
from controller.tls.hosts import hosts_served

Tls = AutomaticTls | GivenTls


def open_tls(config: ControllerConfig, port: int, clock: Clock) -> Tls | None:
    """What serves TLS on a port; None where plain HTTP is served.

    Raises:
        CannotStart: its files cannot be used.
        OSError: they cannot be written.
    """
    if config.tls_certificate is not None and config.tls_key is not None:
        try:
            return GivenTls(config.tls_certificate, config.tls_key, config.tls_authority, config.data_dir)
        except (OSError, ssl.SSLError, UnicodeDecodeError) as error:
            raise CannotStart(
                f"the certificate {config.tls_certificate} with the key {config.tls_key} cannot be used: "
                f"{error}; both must be PEM files that belong together"
            ) from error
    if config.tls == "auto":
        try:
            return AutomaticTls(config.data_dir, lambda: hosts_served(config, port), clock)
        except AuthorityDamaged as error:
            raise CannotStart(str(error)) from error
    return None
