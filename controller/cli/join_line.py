"""The line to paste on the next machine, which installs Homeport there and joins."""

import shlex

from controller.cli.client import Client


def join_line(client: Client, endpoint: str, token: str) -> str:
    """What a Debian or Ubuntu machine with curl runs; empty if the controller has no program to give.

    Nothing vouches for the controller at the first fetch: the digest in the line does, so that what is run is
    what the person who pastes it was shown. From then on the token's fingerprint does.
    """
    program = client.homeport("DescribeProgram")
    if not program:
        return ""
    url = shlex.quote(endpoint + program["path"])
    unverified = "k" if endpoint.startswith("https:") else ""
    return (
        f"curl -fsS{unverified} {url} -o homeport.tgz && "
        f"echo '{program['sha256']}  homeport.tgz' | sha256sum -c --quiet && "
        "mkdir -p homeport && tar -xzf homeport.tgz -C homeport && "
        f"./homeport/deploy/install.sh agent --token {token}"
    )
