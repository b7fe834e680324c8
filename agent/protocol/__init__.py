"""The wire, and what controller and agent must compute alike.

Types and pure functions only: no I/O, no clock reads outside ``clock``, and no imports beyond the standard
library and msgspec. Both packages may import it.
"""
