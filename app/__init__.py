"""The service: HTTP, command line, settings, and the recogniser that joins models and gallery."""
