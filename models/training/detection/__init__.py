"""Training of the main-body detector: targets, losses, data, loop, evaluation."""
