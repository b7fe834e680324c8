"""Roles of tasks: what they permit, and the short-lived credentials that tasks get for them."""
