"""The Homeport agent: runs on every container instance and makes the controller's desired state real.

The version of the whole distribution is kept here and nowhere else.
"""

__version__ = "0.1.0"
