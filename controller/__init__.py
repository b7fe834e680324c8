"""The Homeport controller: keeps a cluster's desired state and speaks ECS's interfaces on every side."""

from agent import __version__

__all__ = ["__version__"]
