"""FireLens: containers whose log driver is ``awsfirelens`` log through another of their task, the log router
(Fluent Bit or Fluentd). Here is the configuration that the router is started with: what amazon-ecs-agent's
says.

Pure. Options of a container's log driver become those of the router's output for it; ``Name`` (Fluent Bit) or
``@type`` (Fluentd) says which output that is.
"""

from collections.abc import Iterator, Mapping

from agent.engine.payload_documents import docker_document
from agent.protocol import acs
from agent.protocol.arn import last_segment

DRIVER = "awsfirelens"
PORT = 24224
"""At which the router also takes what containers send it by themselves."""
BUFFER_LIMIT_OPTION = "log-driver-buffer-limit"
"""Of the options of a container the one that is the engine's and not the router's."""

_SOCKET_IN_ROUTER = "/var/run/fluent.sock"
_HEALTH_TAG, _HEALTH_PORT = "firelens-healthcheck", 8877
_OF_NO_OUTPUT = (BUFFER_LIMIT_OPTION, "include-pattern", "exclude-pattern")


def router_of(task: acs.Task) -> acs.Container | None:
    """The container that routes the logs of the others, if the task has one."""
    return next((c for c in task.containers if c.firelens_configuration is not None), None)


def log_options(container: acs.Container) -> Mapping[str, str] | None:
    """The options with which a container logs through the router; None if it logs otherwise."""
    log_config = docker_document(container, "host_config").get("LogConfig") or {}
    return dict(log_config.get("Config") or {}) if log_config.get("Type") == DRIVER else None


def tag(task: acs.Task, container: acs.Container) -> str:
    """By this the router tells a container's lines from those of others."""
    return f"{container.name}-firelens-{last_segment(task.arn or '')}"


def config_path(router: acs.Container) -> str:
    """Where a router looks for its configuration."""
    return "/fluentd/etc/fluent.conf" if _is_fluentd(router) else "/fluent-bit/etc/fluent-bit.conf"


def router_config(task: acs.Task, router: acs.Container) -> str:
    """The router's configuration file."""
    sections = _fluentd(task, router) if _is_fluentd(router) else _fluent_bit(task, router)
    return "\n".join(sections)


def _is_fluentd(router: acs.Container) -> bool:
    return router.firelens_configuration is not None and router.firelens_configuration.type == "fluentd"


def _options(router: acs.Container) -> Mapping[str, str]:
    configuration = router.firelens_configuration
    return (configuration.options if configuration is not None else None) or {}


def _users(task: acs.Task) -> Iterator[tuple[acs.Container, Mapping[str, str]]]:
    for container in task.containers:
        options = log_options(container)
        if options is not None:
            yield container, options


def _listens_at(task: acs.Task) -> str | None:
    """The address for what containers send by themselves; none in the host's network, where others are."""
    return {"awsvpc": "127.0.0.1", "bridge": "0.0.0.0", "": "0.0.0.0"}.get(task.network_mode or "")


def _metadata(task: acs.Task, router: acs.Container) -> Mapping[str, str]:
    """What every line is given beside its text, unless the router's options forbid it."""
    if _options(router).get("enable-ecs-log-metadata", "true").lower() == "false":
        return {}
    return {
        "ecs_cluster": last_segment(task.task_cluster_arn or ""),
        "ecs_task_arn": task.arn or "",
        "ecs_task_definition": f"{task.family}:{task.version}",
    }


def _included_file(router: acs.Container) -> str | None:
    options = _options(router)
    return options.get("config-file-value") if options.get("config-file-type") == "file" else None


# --- Fluent Bit ---------------------------------------------------------------------------------------------


def _fluent_bit(task: acs.Task, router: acs.Container) -> Iterator[str]:
    yield _section("INPUT", ("Name", "forward"), ("unix_path", _SOCKET_IN_ROUTER))
    if address := _listens_at(task):
        yield _section("INPUT", ("Name", "forward"), ("Listen", address), ("Port", str(PORT)))
    health = ("Tag", _HEALTH_TAG), ("Listen", "127.0.0.1"), ("Port", str(_HEALTH_PORT))
    yield _section("INPUT", ("Name", "tcp"), *health)
    for container, options in _users(task):
        lines = ("Name", "grep"), ("Match", f"{container.name}-firelens*")
        if pattern := options.get("include-pattern"):
            yield _section("FILTER", *lines, ("Regex", f"log {pattern}"))
        if pattern := options.get("exclude-pattern"):
            yield _section("FILTER", *lines, ("Exclude", f"log {pattern}"))
    if metadata := _metadata(task, router):
        records = (("Record", f"{name} {value}") for name, value in metadata.items())
        yield _section("FILTER", ("Name", "record_modifier"), ("Match", "*"), *records)
    if included := _included_file(router):
        yield f"@INCLUDE {included}\n"
    yield _section("OUTPUT", ("Name", "null"), ("Match", _HEALTH_TAG))
    for container, options in _users(task):
        output = {name: value for name, value in options.items() if name not in _OF_NO_OUTPUT}
        kind = next((output.pop(name) for name in tuple(output) if name.lower() == "name"), None)
        if kind is not None:
            match = ("Name", kind), ("Match", f"{container.name}-firelens*")
            yield _section("OUTPUT", *match, *sorted(output.items()))


def _section(kind: str, *lines: tuple[str, str]) -> str:
    return "".join([f"[{kind}]\n", *(f"    {name} {value}\n" for name, value in lines)])


# --- Fluentd ------------------------------------------------------------------------------------------------


def _fluentd(task: acs.Task, router: acs.Container) -> Iterator[str]:
    yield _element("source", "", "@type unix", f"path {_SOCKET_IN_ROUTER}")
    if address := _listens_at(task):
        yield _element("source", "", "@type forward", f"bind {address}", f"port {PORT}")
    for container, options in _users(task):
        for option, element in (("include-pattern", "regexp"), ("exclude-pattern", "exclude")):
            if pattern := options.get(option):
                rule = (f"<{element}>", "  key log", f"  pattern {pattern}", f"</{element}>")
                yield _element("filter", f"{container.name}-firelens**", "@type grep", *rule)
    if metadata := _metadata(task, router):
        records = (f"  {name} {value}" for name, value in metadata.items())
        yield _element("filter", "**", "@type record_transformer", "<record>", *records, "</record>")
    if included := _included_file(router):
        yield f"@include {included}\n"
    for container, options in _users(task):
        output = {name: value for name, value in options.items() if name not in _OF_NO_OUTPUT}
        if kind := output.pop("@type", None):
            lines = (f"{name} {value}" for name, value in sorted(output.items()))
            yield _element("match", f"{container.name}-firelens**", f"@type {kind}", *lines)


def _element(name: str, argument: str, *lines: str) -> str:
    opening = f"<{name} {argument}>" if argument else f"<{name}>"
    return "\n".join([opening, *(f"  {line}" for line in lines), f"</{name}>", ""])
