"""What can go wrong in `models`, for the service and the command line to translate."""


class ModelError(Exception):
    """A network failed or answered with something that must not be used."""


class PackError(ModelError):
    """A pack is missing, damaged or does not keep its contract."""


class FetchError(ModelError):
    """Official weights could not be fetched; the message says what to do instead."""


class ClosedError(ModelError):
    """Work was handed to a worker that has been closed."""
