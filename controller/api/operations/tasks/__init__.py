"""Task operations (ecs-semantics 5)."""

from __future__ import annotations

from controller.api.context import Handler
from controller.api.operations.tasks.describe import describe_tasks
from controller.api.operations.tasks.execute import execute_command
from controller.api.operations.tasks.listing import list_tasks
from controller.api.operations.tasks.protection import get_task_protection, update_task_protection
from controller.api.operations.tasks.run import run_task
from controller.api.operations.tasks.start import start_task
from controller.api.operations.tasks.stop import stop_task

OPERATIONS: dict[str, Handler] = {
    "RunTask": run_task,
    "StartTask": start_task,
    "StopTask": stop_task,
    "DescribeTasks": describe_tasks,
    "ListTasks": list_tasks,
    "ExecuteCommand": execute_command,
    "GetTaskProtection": get_task_protection,
    "UpdateTaskProtection": update_task_protection,
}
