"""HTTP: the only place that knows of it."""
