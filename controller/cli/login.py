"""`homeport login`: make a controller elsewhere this person's own, on a laptop."""

import os
import ssl
import sys
from urllib.parse import urlsplit

import click

from agent.protocol.trust import certificates, fingerprint, parse_fingerprint
from controller.cli.aws_profile import write_aws_profile
from controller.cli.client import Client
from controller.cli.env import SERVICES
from controller.cli.errors import CommandFailed, ExitCode
from controller.cli.first_contact import (
    CannotVerify,
    authorities_with,
    fetch_authorities,
    without_verifying,
)
from controller.cli.profile import DEFAULT_PROFILE, named_profile_folder
from controller.files import write_private
from controller.keyring import (
    AUTHORITIES_FILE,
    ClientProfile,
    Keyring,
    load_client_profile,
    write_client_profile,
)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command(short_help="Use a controller elsewhere, from a laptop.")
@click.argument("url")
@click.option(
    "--fingerprint",
    "expected",
    metavar="SHA256",
    help="The fingerprint of the controller's authority, where the URL has none after #.",
)
@click.option(
    "--name",
    default=DEFAULT_PROFILE,
    show_default=True,
    metavar="NAME",
    help="The profile to write; use it with 'homeport --profile NAME …'.",
)
@click.option("--access-key-id", metavar="ID", help="The key to use [HOMEPORT_ACCESS_KEY_ID; asked for].")
@click.option("--aws-profile", metavar="NAME", help="Write a profile for AWS's own tools, too.")
@click.option("--allow-plain-http", is_flag=True, help="Log in where nothing hides what is said.")
def login(
    url: str,
    expected: str | None,
    name: str,
    access_key_id: str | None,
    aws_profile: str | None,
    allow_plain_http: bool,
) -> None:
    """Use a controller elsewhere, from a laptop.

    On the controller's machine 'homeport up --lan' or 'homeport tls show' tells the fingerprint of its
    authority, and 'homeport user create' makes an access key. The secret of the key is read from
    HOMEPORT_SECRET_ACCESS_KEY, from standard input or from a prompt.

    \b
    Examples:
      homeport login https://controller.lan:8480#sha256:4f1c…
      homeport login https://controller.lan:8480 --name lab --aws-profile lab
      aws --profile lab ecs list-clusters
    """
    endpoint, fragment = _split(url, allow_plain_http)
    authorities = _authorities(endpoint, _fingerprint(expected or fragment))
    id_ = access_key_id or os.environ.get("HOMEPORT_ACCESS_KEY_ID") or str(click.prompt("Access key id"))
    profile = _write(name, endpoint, authorities, id_, _secret())
    click.echo(f"profile {name} is written: {named_profile_folder(name)}")
    if aws_profile:
        config, credentials = write_aws_profile(aws_profile, profile, tuple(map(str.lower, SERVICES)))
        click.echo(f"AWS profile {aws_profile} is written: {config} and {credentials}")
        click.echo(f"  next: aws --profile {aws_profile} ecs list-clusters")
    click.echo(f"  next: homeport {'' if name == DEFAULT_PROFILE else f'--profile {name} '}services")


def _split(url: str, allow_plain_http: bool) -> tuple[str, str]:
    """The endpoint and the fingerprint in a URL. Raises `CommandFailed`."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise CommandFailed(
            f"{url} is no address of a controller",
            "it looks like https://controller.lan:8480#sha256:…",
            ExitCode.USAGE,
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_plain_http:
        raise CommandFailed(
            f"over plain HTTP anybody on the way to {parts.netloc} can read along, and answer",
            "let the controller serve HTTPS with --tls auto, or allow it with --allow-plain-http",
        )
    return f"{parts.scheme}://{parts.netloc}", parts.fragment


def _fingerprint(text: str) -> str:
    if not text:
        return ""
    try:
        return parse_fingerprint(text)
    except ValueError as error:
        raise CommandFailed(f"{text!r} is no fingerprint: {error}", exit_code=ExitCode.USAGE) from None


def _authorities(endpoint: str, expected: str) -> str:
    """The certificates of those who vouch for the controller; empty: the system knows who does."""
    if endpoint.startswith("http:"):
        return ""
    if expected:
        return authorities_with(endpoint, expected)
    try:
        fetch_authorities(endpoint, ssl.create_default_context())
    except CannotVerify:
        return _asked_about(endpoint)
    return ""


def _asked_about(endpoint: str) -> str:
    """What is presented, once a person has compared its fingerprint."""
    present, *_ = [*certificates(fetch_authorities(endpoint, without_verifying())), ""]
    if not present:
        raise CommandFailed(
            f"nobody that this machine trusts vouches for {endpoint}, and it has no authority of its own",
            "give the certificate's authority to the controller with --tls-authority",
        )
    found = fingerprint(present)
    if not _is_terminal():
        raise CommandFailed(
            f"nobody says that {endpoint} is the right controller: its authority is {found}",
            f"compare that with 'homeport tls show' on its machine, and add --fingerprint {found}",
            ExitCode.USAGE,
        )
    click.echo(
        f"The authority of {endpoint} is\n  {found}\n'homeport tls show' on its machine must say the same."
    )
    click.confirm("Does it?", abort=True)
    return authorities_with(endpoint, found)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _secret() -> str:
    if secret := os.environ.get("HOMEPORT_SECRET_ACCESS_KEY"):
        return secret
    if _is_terminal():
        return str(click.prompt("Secret access key", hide_input=True))
    return sys.stdin.readline().strip()


def _write(name: str, endpoint: str, authorities: str, id_: str, secret: str) -> ClientProfile:
    """Ask the controller who calls, with what the profile would hold; only what works is kept."""
    folder = named_profile_folder(name)
    try:
        tls = folder / AUTHORITIES_FILE
        tls.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        tried = tls.with_suffix(".tried")
        if authorities:
            write_private(tried, authorities.encode())
        trial = ClientProfile(endpoint, "us-east-1", "", id_, secret, tried if authorities else None)
        try:
            caller = Client(trial).homeport("GetIdentity")
            if authorities:
                tried.replace(tls)
            else:
                tls.unlink(missing_ok=True)
        finally:
            tried.unlink(missing_ok=True)
        keyring = Keyring.open(folder, create=True)
        profile = ClientProfile(endpoint, caller["region"], caller["account"], id_, secret)
        write_client_profile(folder, keyring, profile)
        click.echo(f"logged in to {endpoint} as {caller['arn']} ({caller['role']})")
        return load_client_profile(folder)
    except OSError as error:
        raise CommandFailed(f"the profile cannot be written: {error}", "look at the folder's owner") from None
