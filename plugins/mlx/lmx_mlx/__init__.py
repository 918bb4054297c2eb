"""Plugin `mlx`."""
