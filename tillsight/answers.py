"""The service's JSON answers, as types; `/docs` of a service describes every field."""

from typing import Any, Literal, NotRequired, TypedDict


class Box(TypedDict):
    """Pixels of the upright image, from its top left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


class Size(TypedDict):
    width: int
    height: int


class Detection(TypedDict):
    box: Box
    score: float
    label: str


class Detections(TypedDict):
    image: Size
    detections: list[Detection]
    timing_ms: dict[str, float]
    model: str


class Embedding(TypedDict):
    """`vector`: unit length."""

    image_index: int
    vector: list[float]
    box: Box


class Embeddings(TypedDict):
    embeddings: list[Embedding]
    dimension: int
    model: str


class Candidate(TypedDict):
    product_id: str
    name: str
    metadata: dict[str, Any]
    score: float
    image_id: str
    inliers: int | None


class ProductName(TypedDict):
    id: str
    name: str
    metadata: dict[str, Any]


class Result(TypedDict):
    """What one body in the photograph is; `product` is None when it is unknown."""

    box: Box
    box_source: Literal["detector", "whole_image"]
    detection_score: float | None
    outcome: Literal["match", "ambiguous", "unknown"]
    product: ProductName | None
    score: float | None
    margin: float | None
    probability: float | None
    candidates: list[Candidate]


class Recognition(TypedDict):
    request_id: str
    image: Size
    results: list[Result]
    may_show_more: bool
    threshold: float
    gallery_revision: int
    timing_ms: dict[str, float]
    model: str


class Calibration(TypedDict):
    """What a false-accept rate takes; `interval`: where it lies 9 times in 10."""

    threshold: float
    expected_false_accept_rate: float
    expected_miss_rate: float
    interval: list[float]
    genuine: int
    impostors: int
    products: int
    gallery_revision: int
    model: str


class Reference(TypedDict):
    product_id: str
    image_id: str
    score: float


class Matches(TypedDict):
    """How the references of a result's best two products match, best first."""

    best: list[Reference]
    runner_up: list[Reference]


class Explanation(TypedDict):
    """`matches`: of each result of the recognition."""

    recognition: Recognition
    matches: list[Matches]
    threshold: float
    threshold_from: Literal["pack", "request", "calibration"]
    ambiguous_margin: float
    calibration: Calibration | None


class Verification(TypedDict):
    """Scores are None where the product has no references."""

    request_id: str
    image: Size
    product: ProductName
    outcome: Literal["match", "no_match", "uncertain"]
    score: float | None
    threshold: float | None
    no_match_threshold: float | None
    probability: float | None
    margin: float | None
    image_id: str | None
    rival: Candidate | None
    box: Box | None
    box_source: Literal["detector", "whole_image"] | None
    gallery_revision: int
    timing_ms: dict[str, float]
    model: str


class Product(TypedDict):
    id: str
    name: str
    metadata: dict[str, Any]
    image_count: int
    version: int
    created_at: str
    updated_at: str


class Image(TypedDict):
    id: str
    product_id: str
    width: int
    height: int
    content_sha256: str
    created_at: str


class ProductWithImages(Product):
    images: list[Image]


class Samples(TypedDict):
    products: list[Product]


class ProductPage(TypedDict):
    products: list[Product]
    next_cursor: str | None


class Doubt(TypedDict):
    """A doubt about a reference; `product_id`: that it looks like, of a `look-alike`."""

    code: Literal["look-alike", "no-body", "blurred", "too-small"]
    detail: str
    product_id: NotRequired[str]


class AddedImage(TypedDict, total=False):
    """`id` and `duplicate` of a file that was taken, `error` (a problem) of one that was not."""

    filename: str
    id: str
    duplicate: bool
    warnings: list[Doubt]
    error: dict[str, Any]


class AddedImages(TypedDict):
    images: list[AddedImage]
    gallery_revision: int
    effect: NotRequired["Effect"]


class Effect(TypedDict):
    """Leave-one-out recall before and after, and the references that it would change for."""

    references: int
    recall_before: float | None
    recall_after: float | None
    newly_missed: list[dict[str, Any]]
    newly_found: list[str]


class Feedback(TypedDict):
    """What was said of a result, and what was decided upon it."""

    id: int
    request_id: str
    result: int
    created_at: str
    seen: dict[str, Any]
    product_id: str | None
    verdict: Literal["right", "wrong", "missed", "none"]
    state: Literal["waiting", "approved", "rejected"]
    kept_as: Literal["reference", "negative"] | None
    image_id: str | None
    decided_at: str | None
    undoable: bool


class FeedbackWithHistory(Feedback):
    history: list[dict[str, Any]]


class ApprovedFeedback(Feedback):
    effect: Effect


class FeedbackPage(TypedDict):
    items: list[Feedback]
    counts: dict[str, int]


class HistoryEntry(TypedDict):
    """A change: by whose key, asked by which request, and what it was about before and after."""

    sequence: int
    kind: Literal["put product", "delete product", "add image", "delete image"]
    product_id: str
    image_id: str | None
    at: str
    author: str | None
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class HistoryPage(TypedDict):
    entries: list[HistoryEntry]
    next_cursor: str | None


class GalleryState(TypedDict):
    products: int
    images: int
    revision: int
    index: dict[str, Any]
    model: dict[str, Any]


class JobSummary(TypedDict):
    """`finished_at` is None until it is `done`, `failed` or `cancelled`."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    dry_run: bool
    done: int
    total: int
    created: int
    changed: int
    added: int
    duplicates: int
    embedded_again: int
    starts: int
    failed: int
    detail: str | None
    author: str | None
    request_id: str | None
    created_at: str
    finished_at: str | None


class Job(JobSummary):
    errors: list[dict[str, str]]


class Jobs(TypedDict):
    jobs: list[JobSummary]
