"""The network of a task that has one of its own (awsvpc), as the API shows it: an attachment of the task, and
an interface of each of its containers.

Its agent makes the network on the host and reports the address; there is no EC2 network interface behind it,
and none is made up.
"""

from __future__ import annotations

import uuid

from controller.state.entities import Document, Task
from controller.state.lifecycle import is_ended


def attachments(task: Task) -> list[Document]:
    """The `attachments` member: one network interface for an awsvpc task, nothing for any other."""
    configuration = task.options.get("networkConfiguration", {}).get("awsvpcConfiguration")
    interface = task.network_interface
    if configuration is None and interface is None:
        return []
    details: dict[str, str] = {}
    if subnets := (configuration or {}).get("subnets"):
        details["subnetId"] = subnets[0]
    if interface is not None:
        details["macAddress"] = interface.mac_address
        details["privateIPv4Address"] = interface.private_ipv4
    return [
        {
            "id": _attachment_id(task),
            "type": "ElasticNetworkInterface",
            "status": _status(task),
            "details": [{"name": name, "value": value} for name, value in details.items() if value],
        }
    ]


def network_interfaces(task: Task) -> list[Document]:
    """The `networkInterfaces` member of each container of a task: they share one."""
    if task.network_interface is None:
        return []
    interface: Document = {"attachmentId": _attachment_id(task)}
    if task.network_interface.private_ipv4:
        interface["privateIpv4Address"] = task.network_interface.private_ipv4
    return [interface]


def _status(task: Task) -> str:
    if is_ended(task):
        return "DELETED"
    return "PRECREATED" if task.network_interface is None else "ATTACHED"


def _attachment_id(task: Task) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{task.key}/network-interface"))
