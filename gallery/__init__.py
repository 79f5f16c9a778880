"""Products, their reference images and vectors, and the search among them."""

from gallery.errors import (
    FingerprintMismatch,
    GalleryClosed,
    GalleryDamaged,
    GalleryError,
    InvalidValue,
    InvalidVector,
    StorageFailed,
    UnknownImage,
    UnknownProduct,
    UnsupportedSchema,
)
from gallery.gallery import Gallery
from gallery.records import (
    JSON,
    AddedImage,
    Candidate,
    GalleryStats,
    Image,
    NewImage,
    Product,
    SearchResult,
)

__all__ = [
    "JSON",
    "AddedImage",
    "Candidate",
    "FingerprintMismatch",
    "Gallery",
    "GalleryClosed",
    "GalleryDamaged",
    "GalleryError",
    "GalleryStats",
    "Image",
    "InvalidValue",
    "InvalidVector",
    "NewImage",
    "Product",
    "SearchResult",
    "StorageFailed",
    "UnknownImage",
    "UnknownProduct",
    "UnsupportedSchema",
]
