"""Under which names and addresses this machine is reached."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import psutil

from controller.config import ControllerConfig

_LOCAL = ("localhost", "127.0.0.1", "::1")


def hosts_served(config: ControllerConfig, port: int) -> list[str]:
    """What the controller's certificate must name, each with and without its port, in a settled order.

    Listening everywhere, that is every name and address of the machine; listening at one address, that one.
    """
    hosts = {*_LOCAL, *config.tls_names}
    if config.public_url and (public := urlsplit(config.public_url).hostname):
        hosts.add(public)
    listened = config.listen_host
    if _is(listened, "is_unspecified"):
        hosts |= {socket.gethostname(), *own_addresses()}
    elif not _is(listened, "is_loopback"):
        hosts |= {socket.gethostname(), listened}
    else:
        hosts.add(listened)
    usable = sorted(host for host in hosts if host.isascii() and host)
    return [*usable, *(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in usable)]


def own_addresses() -> set[str]:
    """The IP addresses of this machine's interfaces, but those that hold on one link only."""
    families = (socket.AF_INET, socket.AF_INET6)
    return {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in families and not _is(address.address, "is_link_local")
    }


def _is(host: str, property_: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host.partition("%")[0]), property_))
    except ValueError:
        return False
