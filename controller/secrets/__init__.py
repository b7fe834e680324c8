"""Secrets and environment files of tasks: where they are kept, how they are named, and who may see them."""
