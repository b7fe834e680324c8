"""`homeport up`: controller and local agent in one go."""

import asyncio
import http.client
import os
import signal
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import click

from agent.protocol.trust import certificates, fingerprint
from controller.cli import options
from controller.cli.client import Client
from controller.cli.commands import agent_command, controller_command, controller_environment
from controller.cli.errors import CommandFailed, ExitCode
from controller.cli.first_contact import without_verifying
from controller.cli.join_line import join_line
from controller.cli.profile import load_profile
from controller.cli.settings import Settings, load_settings
from controller.cli.supervise import ProcessChild, how, keep_running

_READY_S = 60.0
_POLL_S = 0.1
# The agent spells its log levels as amazon-ecs-agent does.
_AGENT_LOG_LEVELS = {"warning": "warn"}


@click.command(short_help="Run controller and agent on this machine.")
@options.data_dir_option
@options.listen_option
@click.option(
    "--cluster", metavar="NAME", help="The cluster that the agent joins; made if need be [default]."
)
@click.option(
    "--lan", is_flag=True, help="Serve the network of this machine, over HTTPS (as --tls auto does)."
)
@click.option("--no-agent", is_flag=True, help="Start the controller alone.")
@options.tls_option
@options.tls_certificate_option
@options.tls_key_option
@options.tls_authority_option
@options.tls_name_option
@options.allow_plain_http_option
@options.public_url_option
@options.database_url_option
@options.aws_profile_option
@options.log_format_option
@options.log_level_option
def up(no_agent: bool, lan: bool, **flags: Any) -> None:
    """Run the controller and an agent on this machine, in the foreground.

    Ctrl-C stops both, the agent first; containers go on running, and the next `homeport up` finds them again.
    Should one of the two end by itself, it is started again. Flags beat the environment, which beats
    DIR/homeport.toml.

    \b
    Examples:
      homeport up
      homeport up --data-dir ./data --listen 127.0.0.1:9000 --cluster lab
      homeport up --lan
    """
    settings = load_settings(flags)
    asyncio.run(_run(settings.for_the_network() if lan else settings, with_agent=not no_agent))


async def _run(settings: Settings, *, with_agent: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    children: list[ProcessChild] = []
    try:
        children.append(await _start_controller(settings, stop))
        if with_agent and not stop.is_set():
            children.append(await _start_agent(settings))
        if not stop.is_set():
            _say_welcome(settings, with_agent)
            if settings.tls == "auto" and not settings.listen.is_loopback:
                await asyncio.to_thread(_say_how_to_join, settings)
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(keep_running(child, stop, _say), name=f"keep {child.name} running")
    finally:
        await _stop(reversed(children))


async def _start_controller(settings: Settings, stop: asyncio.Event) -> ProcessChild:
    url = settings.local_url
    if await asyncio.to_thread(_is_healthy, url):
        raise CommandFailed(
            f"a controller is running at {url} already",
            "use it, stop it first, or start this one elsewhere with --listen and --data-dir",
        )
    child = ProcessChild(
        "controller", controller_command(settings), controller_environment(settings, os.environ)
    )
    await child.start()
    try:
        await _wait_until_healthy(child, url, stop)
    except BaseException:
        await child.stop()
        raise
    return child


async def _wait_until_healthy(child: ProcessChild, url: str, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while not stop.is_set() and not await asyncio.to_thread(_is_healthy, url):
                if child.status is not None:
                    raise CommandFailed(
                        f"the controller ended {how(child.status)} at its start",
                        "its own lines above say why",
                    )
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise CommandFailed(
            f"the controller does not serve {url} after {_READY_S:g} s",
            "its own lines above may say why",
            ExitCode.NOT_CONVERGED,
        ) from None


async def _start_agent(settings: Settings) -> ProcessChild:
    cluster = settings.cluster or "default"
    profile = load_profile(settings.data_dir)
    client = Client(profile)
    await asyncio.to_thread(client.ecs, "CreateCluster", clusterName=cluster)
    key = await asyncio.to_thread(client.homeport, "EnsureAgentAccessKey", cluster=cluster)
    command = agent_command(
        {
            "--controller": profile.endpoint,
            "--ca-file": profile.ca_file,
            "--cluster": cluster,
            "--data-dir": settings.data_dir / "agent",
            "--log-format": settings.log_format,
            "--log-level": _AGENT_LOG_LEVELS.get(settings.log_level or "", settings.log_level),
        }
    )
    environment = {name: value for name, value in os.environ.items() if name != "AWS_SESSION_TOKEN"}
    environment |= {
        "AWS_ACCESS_KEY_ID": key["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["secretAccessKey"],
        "AWS_DEFAULT_REGION": profile.region,
    }
    child = ProcessChild("agent", command, environment)
    await child.start()
    return child


async def _stop(children: Iterable[ProcessChild]) -> None:
    for child in children:
        _say(f"stopping the {child.name}")
        await child.stop()


def _is_healthy(url: str) -> bool:
    parts = urlsplit(url)
    # Only whether something answers is asked here; the agent and the commands verify whom they talk to.
    connection = (
        http.client.HTTPSConnection(parts.netloc, timeout=2, context=without_verifying())
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc, timeout=2)
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _say(text: str) -> None:
    click.echo(f"homeport: {text}", err=True)


def _say_welcome(settings: Settings, with_agent: bool) -> None:
    cluster = settings.cluster or "default"
    runs = f"controller and agent of cluster {cluster} run" if with_agent else "the controller runs"
    click.echo(
        f"""
Homeport is up: {runs} at {settings.local_url}
  data   {settings.data_dir}
  next   eval "$(homeport env --data-dir {settings.data_dir})"      in another shell
         aws ecs list-clusters
         homeport ps --data-dir {settings.data_dir} --cluster {cluster}
  stop   Ctrl-C (containers go on running)
"""
    )
    if settings.tls == "auto" and not settings.listen.is_loopback:
        _say_how_to_log_in(settings)


def _say_how_to_join(settings: Settings) -> None:
    client = Client(load_profile(settings.data_dir))
    cluster = settings.cluster or "default"
    made = client.homeport("CreateJoinToken", cluster=cluster, endpoint=settings.network_url)
    line = join_line(client, made["endpoint"], made["token"])
    click.echo(
        f"""On the next machine, within the hour; 'homeport token create' makes lines for more:
         {line or "homeport agent --token " + made["token"]}
"""
    )


def _say_how_to_log_in(settings: Settings) -> None:
    profile = load_profile(settings.data_dir)
    assert profile.ca_file is not None
    present = fingerprint(certificates(profile.ca_file.read_text())[0])
    click.echo(
        f"""From a laptop, with a key that 'homeport user create NAME --role deployer' makes here:
         homeport login {settings.network_url}#{present}
"""
    )
