"""What a controller needs before it can serve: its store, its keys and its first clusters."""

from __future__ import annotations

import ipaddress
import random
import socket
from pathlib import Path

from controller.api.access_keys import KeyPair, ensure_root_key
from controller.config import ControllerConfig
from controller.keyring import KEY_FILE, KeyFileDamaged, Keyring, WrongKey
from controller.state.changes import Cause
from controller.state.entities import Cluster
from controller.state.kernel import State
from controller.state.store.sqlite import SqliteStore

STORE_FILE = "homeport.db"
BACKLOG = 1024
"""Connections that may wait to be accepted: a fleet that reconnects at once comes in one burst."""


class CannotStart(Exception):
    """The controller cannot start; the message is one sentence with what to do."""


def prepare_data_dir(data_dir: Path) -> None:
    """Make the data directory, for its owner only.

    Raises:
        CannotStart: it cannot be made or used.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / ".").iterdir()
    except OSError as error:
        raise CannotStart(
            f"the data directory {data_dir} cannot be used ({error.strerror}): "
            "name another one with --data-dir, or run as its owner"
        ) from error


EPOCHS_BEGIN = 1_700_000_000
"""Wall time, in epoch seconds, from which the first epoch of a new store is counted."""


def open_store(config: ControllerConfig, now: float) -> SqliteStore:
    """The store that the settings name. Raises as the store does, and `CannotStart`.

    A store that is made at `now` begins with an epoch above all of any store made before it (each start of a
    controller takes one, and no controller starts every second). Agents remember the highest number that they
    have heard and ignore manifests below it, whichever store they come from: an unmodified agent would
    otherwise never again take one from a controller that lost its data directory.
    """
    if config.database_url is not None:
        raise CannotStart(
            "this version keeps its store in the data directory only: leave --database-url and "
            "HOMEPORT_DATABASE_URL out"
        )
    return SqliteStore(
        config.data_dir / STORE_FILE,
        account=config.account,
        region=config.region,
        first_epoch=max(0, int(now) - EPOCHS_BEGIN),
    )


def open_keyring(data_dir: Path) -> Keyring:
    """The keyring of the data directory, made at the first start.

    Raises:
        CannotStart: its file is damaged.
        OSError: it cannot be read or made.
    """
    try:
        return Keyring.open(data_dir, create=True)
    except KeyFileDamaged as error:
        raise CannotStart(str(error)) from error


def listen(config: ControllerConfig) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        CannotStart: the address is taken, is not this machine's, or needs TLS or `--allow-plain-http`.
    """
    host, port = config.listen_host, config.listen_port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise CannotStart(
            f"cannot listen on {host}: {error.strerror}; choose an address with --listen"
        ) from error
    exposed = not ipaddress.ip_address(address[0]).is_loopback
    if exposed and not config.serves_tls and not config.allow_plain_http:
        raise CannotStart(
            f"{host} can be reached by other machines, who could read everything over plain HTTP: serve "
            "HTTPS with --tls auto, listen on 127.0.0.1, or allow it with --allow-plain-http"
        )
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port} ({error.strerror}): stop what listens there, or choose another "
            "address with --listen"
        ) from error


def seed(
    state: State, config: ControllerConfig, keyring: Keyring, source: random.Random, chosen: KeyPair | None
) -> KeyPair:
    """Make what the first start makes: the clusters and the administrator key, which is returned.

    A cluster that was deleted stays deleted.

    Raises:
        CannotStart: the key file is not the one that the store's secrets were encrypted with.
    """
    try:
        with state.transaction(Cause(kind="start")) as transaction:
            for name in dict.fromkeys(("default", config.cluster)):
                if transaction.get(Cluster, name) is None:
                    transaction.put(Cluster(name=name, created_at=transaction.now), "made at the start")
            return ensure_root_key(transaction, keyring, source, chosen)
    except WrongKey as error:
        raise CannotStart(
            f"{config.data_dir / KEY_FILE} is not the key file of this store: put the right one back"
        ) from error
