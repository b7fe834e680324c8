"""What this machine is: its resources, its attributes, and what tells it apart from every other."""
