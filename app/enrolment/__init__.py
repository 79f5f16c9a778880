"""Photographs on their way to being references: their vectors, and what is doubtful about them."""
