"""All settings in words, as ``--settings`` shows them: taken from the settings themselves."""

import ast
import dataclasses
import inspect
import textwrap
from itertools import chain, pairwise
from typing import Any

from agent.config_file import DEFAULT_PATH, NAMES
from agent.config_without_effect import WITHOUT_EFFECT

_WIDTH = 100
_READ_APART = {
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN": "What signs all calls. Has to be set "
    "unless the machine joins with a token, or has.",
    "--config, ECS_AGENT_CONFIG_FILE_PATH": f"The settings file. Default: {DEFAULT_PATH}, if it is there.",
    "--data-dir, ECS_DATADIR [DataDir]": "What survives a restart is kept here. Default: agent below "
    "HOMEPORT_DATA_DIR, which is /var/lib/homeport for root and ~/.local/share/homeport for others.",
}
"""Settings that are not read like the others."""


def listing(config: type) -> str:
    """Every setting of the dataclass ``config`` with its sources, default and meaning, then those without
    effect.
    """
    meanings = _docstrings(config)
    file_names = {variable: name for name, variable in NAMES.items()}
    lines = [
        "Settings of the agent. Flags beat variables beat the settings file (names in brackets) beat "
        "defaults.",
        "",
    ]
    for head, meaning in _READ_APART.items():
        lines += [head, *_paragraph(meaning)]
    for setting in sorted(dataclasses.fields(config), key=lambda field: field.metadata.get("env", "")):
        if "env" not in setting.metadata:
            continue
        variable, flag = setting.metadata["env"], setting.metadata["flag"]
        head = f"{variable} [{file_names[variable]}]" if variable in file_names else variable
        lines.append(f"{flag}, {head}" if flag else head)
        lines += _paragraph(f"{meanings[setting.name]} Default: {_shown(setting.default)}.")
    lines += ["", "Settings of amazon-ecs-agent that have no effect here:", ""]
    for variable, reason in sorted(WITHOUT_EFFECT.items()):
        lines += [variable, *_paragraph(f"{reason[0].upper()}{reason[1:]}.")]
    return "\n".join(lines) + "\n"


def _docstrings(config: type) -> dict[str, str]:
    """The text below each field of the class and of those that it extends, on one line."""
    bodies = [
        node.body
        for each in config.__mro__
        if dataclasses.is_dataclass(each)
        for node in ast.parse(textwrap.dedent(inspect.getsource(each))).body
        if isinstance(node, ast.ClassDef)
    ]
    found = {}
    for setting, following in chain.from_iterable(pairwise(body) for body in bodies):
        match setting, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.replace("``", "").split())
    return found


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _shown(default: Any) -> str:
    match default:
        case None | "" | ():
            return "none"
        case bool():
            return "true" if default else "false"
        case float():
            return f"{default:g} s"
        case tuple() if type(default) is tuple:
            return " ".join(str(part) for part in default)
        case _:
            return str(default)
