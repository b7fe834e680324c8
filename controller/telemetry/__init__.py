"""What the controller tells about itself and what agents tell about their tasks: metrics and utilisation."""
