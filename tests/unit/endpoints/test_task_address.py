"""The tasks' address where there is nothing to install."""

import pytest

from agent.config_values import Address
from agent.endpoints.task_address import TaskAddress

LOOPBACK = Address("127.0.0.1", 51679)


@pytest.mark.parametrize(
    ("mode", "listens_at", "reachable"),
    [
        ("present", LOOPBACK, True),
        ("off", LOOPBACK, False),
        ("install", Address("127.0.0.1", 0), False),
        ("install", Address("::1", 51679), False),
    ],
)
async def test_what_is_not_ours_to_install_is_believed_or_gone_without(
    mode: str, listens_at: Address, reachable: bool
) -> None:
    address = TaskAddress(mode, listens_at)
    await address.open()

    assert address.reachable is reachable
    await address.close(in_use=False)
