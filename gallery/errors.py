"""What the gallery raises. Every message is meant to be read by the caller and says what to do."""

# The names say what happened ("unknown product"); the common base says that it is an error.


class GalleryError(Exception):
    """Anything the gallery refuses or can't do."""


class UnknownProduct(GalleryError):
    """There is no product with this id."""

    def __init__(self, product_id: str) -> None:
        super().__init__(
            f"There is no product {_shown(product_id)} in the gallery. "
            "Check the id, or create the product first."
        )


class UnknownImage(GalleryError):
    """There is no reference image with this id."""

    def __init__(self, image_id: str) -> None:
        super().__init__(
            f"There is no reference image {_shown(image_id)} in the gallery. "
            "It may have been deleted; list the product's images to see those there are."
        )


class VersionConflict(GalleryError):
    """The product isn't at the version that the change was meant for."""

    def __init__(self, product_id: str, expected: int, actual: int) -> None:
        now = f"is at version {actual}" if actual else "doesn't exist"
        super().__init__(
            f"The product {_shown(product_id)} {now}, the change was meant for version {expected}. "
            "Read the product again and decide anew."
            if expected
            else f"There is a product {_shown(product_id)} already, at version {actual}. "
            "Choose another id, or read that product and decide anew."
        )


class HistoryForgotten(GalleryError):
    """The changes that were asked for are no longer kept, or are of before a backup came back."""

    def __init__(self, after: int, oldest: int, newest: int) -> None:
        super().__init__(
            f"The changes after revision {after} can't be told, only those after {oldest}; the "
            f"gallery is at {newest}. Read the products anew and follow the changes from the "
            "revision they were read at."
        )
        self.oldest = oldest


class InvalidVector(GalleryError):
    """A vector of the wrong shape, with NaN or infinity in it, or of length zero."""


class InvalidValue(GalleryError):
    """A value that the gallery can't store: wrong type, out of range, not JSON, not Unicode."""


class InvalidFilter(GalleryError):
    """A filter that isn't one."""


class FingerprintMismatch(GalleryError):
    """The stored vectors were made by another embedder and can't be compared with this one's."""


class GalleryDamaged(GalleryError):
    """The database isn't one, isn't ours, or contradicts itself."""


class UnsupportedSchema(GalleryError):
    """The database was written by a newer release."""


class StorageFailed(GalleryError):
    """The disk or the file system refused: full, read-only, locked by another process."""


class GalleryInUse(GalleryError):
    """Another process has the gallery's folder open."""


class GalleryUnavailable(GalleryError):
    """A server that the gallery is on doesn't answer; the same call may succeed soon."""

    def __init__(self, does: str = "holds the gallery") -> None:
        super().__init__(
            f"The server that {does} does not answer. Try again in some seconds; "
            "the log of the service says more."
        )


class GalleryClosed(GalleryError):
    """The gallery was used after `close`."""

    def __init__(self) -> None:
        super().__init__("The gallery is closed. Open it again with Gallery.open.")


def _shown(identifier: str) -> str:
    """An id as it can stand in a message, whatever length a client gave it."""
    return repr(identifier) if len(identifier) <= 80 else f"{identifier[:80]!r}…"
