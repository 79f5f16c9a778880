"""The service: HTTP, command line, settings, and the recogniser that joins models and gallery."""

import os

# Before NumPy is imported. Its threads would take the networks' cores whenever a gallery is looked
# through: beside an audit a twentieth of the answers took three times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
