"""The agents' side of the controller: ACS and TCS sessions, translation of tasks, signs of life."""

from controller.gateway.gateway import Gateway
from controller.gateway.payload import task_payload

__all__ = ["Gateway", "task_payload"]
