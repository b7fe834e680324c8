"""Tasks to containers: the pure task state machine, the runner that carries out its commands, and what
they need.
"""
