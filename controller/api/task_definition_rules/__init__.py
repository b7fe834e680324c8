"""What a task definition may say, and the form in which it is kept. Pure functions over documents."""

from controller.api.task_definition_rules.attributes import required_attributes
from controller.api.task_definition_rules.check import check_definition
from controller.api.task_definition_rules.compatibility import compatibilities
from controller.api.task_definition_rules.normalise import normalise

__all__ = ["check_definition", "compatibilities", "normalise", "required_attributes"]
