"""What is wrong with a gallery: every reference compared with every other."""
