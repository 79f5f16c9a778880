"""Products, their reference images and vectors, and the search among them."""

from gallery.authorship import Author, authored, current_author
from gallery.backup import restore
from gallery.contents import Contents
from gallery.errors import (
    FingerprintMismatch,
    GalleryClosed,
    GalleryDamaged,
    GalleryError,
    HistoryForgotten,
    InvalidFilter,
    InvalidValue,
    InvalidVector,
    StorageFailed,
    UnknownImage,
    UnknownProduct,
    UnsupportedSchema,
    VersionConflict,
)
from gallery.filters import And, Filter, In, Not, parse_filter
from gallery.gallery import Gallery
from gallery.protocol import GalleryProtocol
from gallery.records import (
    JSON,
    AddedImage,
    AuditedChange,
    Candidate,
    Change,
    ChangeKind,
    GalleryStats,
    Image,
    NewImage,
    Product,
    Reference,
    SearchResult,
    StoredImage,
)
from gallery.reembedding import reembed

__all__ = [
    "JSON",
    "AddedImage",
    "And",
    "AuditedChange",
    "Author",
    "Candidate",
    "Change",
    "ChangeKind",
    "Contents",
    "Filter",
    "FingerprintMismatch",
    "Gallery",
    "GalleryClosed",
    "GalleryDamaged",
    "GalleryError",
    "GalleryProtocol",
    "GalleryStats",
    "HistoryForgotten",
    "Image",
    "In",
    "InvalidFilter",
    "InvalidValue",
    "InvalidVector",
    "NewImage",
    "Not",
    "Product",
    "Reference",
    "SearchResult",
    "StorageFailed",
    "StoredImage",
    "UnknownImage",
    "UnknownProduct",
    "UnsupportedSchema",
    "VersionConflict",
    "authored",
    "current_author",
    "parse_filter",
    "reembed",
    "restore",
]
