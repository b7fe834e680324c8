"""The wire made visible: what passes between agents and controller, decoded, without secrets.

`tap` and `desk` are the controller's side. `records`, `masking` and `sequence` need none of its parts, so
that the command line may use them.
"""
