"""A profile in the files of AWS's own tools, so that `aws --profile NAME ecs …` reaches a controller.

Only sections that carry our mark are ever replaced; whatever else the files hold stays as it is.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from controller.cli.errors import CommandFailed
from controller.files import write_private
from controller.keyring import ClientProfile

MARK = "# written by homeport login"
_HEADING = re.compile(r"^[ \t]*\[(?P<name>[^\]\n]*)\][^\n]*$", re.MULTILINE)


class NotOurs(ValueError):
    """A section of the name is there already, and somebody else wrote it."""


def write_aws_profile(
    name: str, profile: ClientProfile, services: tuple[str, ...], environment: Mapping[str, str] = os.environ
) -> tuple[Path, Path]:
    """Write the profile, and return the files that it is in: settings, and keys.

    Raises:
        CommandFailed: there is one of the name that is not ours, or a file cannot be read or written.
    """
    folder = Path("~/.aws").expanduser()
    config = Path(environment.get("AWS_CONFIG_FILE") or folder / "config").expanduser()
    credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials").expanduser()
    heading = "default" if name == "default" else f"profile {name}"
    settings = {"region": profile.region, "services": f"homeport-{name}"}
    if profile.ca_file:
        settings["ca_bundle"] = str(profile.ca_file)
    endpoints = dict.fromkeys(services, f"\n  endpoint_url = {profile.endpoint}")
    keys = {
        "aws_access_key_id": profile.access_key_id,
        "aws_secret_access_key": profile.secret_access_key,
    }
    try:
        # Both are settled before either is written.
        new_config = with_section(_read(config), heading, settings)
        new_config = with_section(new_config, f"services homeport-{name}", endpoints)
        new_credentials = with_section(_read(credentials), name, keys)
        for path, text in ((config, new_config), (credentials, new_credentials)):
            target = path.resolve()  # a link stays one
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(target, text.encode())
    except NotOurs as error:
        raise CommandFailed(
            f"there is an AWS profile {name} that homeport did not write: {error}",
            "choose another name with --aws-profile, or remove that section",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"the AWS profile cannot be written: {error}", "look at the file's owner"
        ) from None
    return config, credentials


def with_section(text: str, name: str, values: Mapping[str, str]) -> str:
    """An INI file's text with a section of ours, in the place of the one that was there.

    Raises:
        NotOurs: that one does not carry our mark.
    """
    lines = [f"[{name}]", MARK, *(f"{key} = {value}" for key, value in values.items())]
    section = "\n".join(lines) + "\n"
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    for heading, end in zip(headings, ends, strict=False):
        if " ".join(heading["name"].replace('"', "").split()) != name:
            continue
        if MARK not in text[heading.end() : end]:
            raise NotOurs(f"[{name}]")
        return text[: heading.start()] + section + ("\n" if end < len(text) else "") + text[end:]
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + section


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
