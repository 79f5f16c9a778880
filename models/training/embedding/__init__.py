"""Metric learning of the feature extractor: losses, sampling, augmentation, evaluation."""
