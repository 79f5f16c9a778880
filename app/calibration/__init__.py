"""What a score means in a gallery, learnt from its own references: thresholds and rates."""
