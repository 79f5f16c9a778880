"""The JSON documents of the API, as pydantic models: what OpenAPI shows and clients rely on."""

from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

from app.checks import (
    MAX_ID_LENGTH,
    MAX_NAME_LENGTH,
    check_metadata,
    check_name,
    check_new_id,
    check_product_id,
)
from app.enrolment.guard import Doubt
from app.jobs import JobSummary
from app.recognizer import BoxSource, Outcome
from gallery import ChangeKind

ProductId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID_LENGTH),
    AfterValidator(check_product_id),
    Field(
        description="The client's own id: SKU, GTIN … An `é` of one code point and one of two make "
        "two ids.",
        examples=["4006381333931"],
    ),
]
NewProductId = Annotated[ProductId, AfterValidator(check_new_id)]
ProductName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH),
    AfterValidator(check_name),
    Field(
        description="One line of text in any script. Control characters, private ones and those "
        "that override the direction of text are refused.",
        examples=["Orange juice 1 l"],
    ),
]
# What is measured is given as precisely as it is known; more digits would only be noise.
# After a backup was restored it is more than 32 bits hold (gallery.backup).
Revision = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
Score = Annotated[float, AfterValidator(lambda value: round(value, 4))]
Pixel = Annotated[float, AfterValidator(lambda value: round(value, 1))]
Milliseconds = Annotated[float, AfterValidator(lambda value: round(value, 2))]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(check_metadata)]
T = TypeVar("T")
# A field that is left out where it says nothing; any other is there, and null.
IfAny = Annotated[T | None, Field(exclude_if=lambda value: value is None)]


class Document(BaseModel):
    """A JSON object of this API; what a client sends must not hold unknown fields."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class ImageSize(Document):
    """Of the upright image (EXIF applied)."""

    width: int = Field(examples=[1280])
    height: int = Field(examples=[960])


class Box(Document):
    """Pixels of the upright image, from its top left corner."""

    x1: Pixel = Field(examples=[312.4])
    y1: Pixel = Field(examples=[120.0])
    x2: Pixel = Field(examples=[640.1])
    y2: Pixel = Field(examples=[803.7])


class Timing(Document):
    """Milliseconds; `detect` and `embed` are the forward passes alone."""

    decode: Milliseconds = 0.0
    detect_preprocess: Milliseconds = 0.0
    detect: Milliseconds = 0.0
    embed_preprocess: Milliseconds = 0.0
    embed: Milliseconds = 0.0
    search: Milliseconds = 0.0
    rerank: Milliseconds = Field(0.0, description="Comparing local features.")
    queue: Milliseconds = Field(0.0, description="Waiting for the models.")
    total: Milliseconds = 0.0


class DetectionItem(Document):
    box: Box
    score: Score = Field(examples=[0.93])
    label: str = Field("foreground", examples=["foreground"])


class DetectAnswer(Document):
    image: ImageSize
    detections: list[DetectionItem]
    timing_ms: Timing
    model: str = Field(examples=["embedded-1.0.0+0a1b2c3d4e5f"])


class EmbeddingItem(Document):
    image_index: int = Field(description="Which of the images sent, from 0.", examples=[0])
    vector: list[float] = Field(description="Unit length.", examples=[[0.0123, -0.0456]])
    box: Box


class EmbedAnswer(Document):
    embeddings: list[EmbeddingItem]
    dimension: int = Field(examples=[512])
    model: str = Field(examples=["embedded-1.0.0+0a1b2c3d4e5f"])


class ProductRef(Document):
    id: str
    name: str
    metadata: dict[str, Any]


class CandidateItem(Document):
    product_id: str
    name: str
    metadata: dict[str, Any]
    score: Score
    image_id: str = Field(description="Its reference image that is nearest.")
    inliers: int | None = Field(
        description="Places of its print that were found again in its references, by which its "
        "score grew; null where vectors alone told products apart.",
        examples=[41],
    )


class RecognitionItem(Document):
    box: Box
    box_source: BoxSource
    detection_score: Score | None = Field(description="Null for the whole image.")
    outcome: Outcome = Field(
        description="`match`: this product. `ambiguous`: the best two are too close to tell; offer "
        "the candidates. `unknown`: nothing in the gallery is similar enough."
    )
    product: ProductRef | None = Field(description="The best product; null when unknown.")
    score: Score | None = Field(
        description="Cosine to the best product's references, which lean towards each other: 1 is "
        "for the very picture of a product that has one. Raised where its print was found again."
    )
    margin: Score | None = Field(description="To the second best product; null when there is none.")
    probability: Score | None = Field(
        description="That the best product is the right one, where as many photographs show "
        "unknown products as enrolled ones. From score and margin, by the gallery's calibration; "
        "null until there is one (`false_accept_rate`, `/gallery/calibration`).",
        examples=[0.9871],
    )
    candidates: list[CandidateItem] = Field(description="The best products, best first.")


class RecognizeAnswer(Document):
    request_id: str
    image: ImageSize
    results: list[RecognitionItem] = Field(description="Best first; one for each body.")
    may_show_more: bool = Field(
        description="As many bodies were found as were looked for, so there may be more: ask with "
        "a higher `max_results`."
    )
    threshold: Score = Field(
        description="Score from which a product is named: as asked for, by the rate asked for, or "
        "by default the pack's for as many products as were searched.",
        examples=[0.549],
    )
    gallery_revision: Revision
    timing_ms: Timing
    model: str


class GalleryAnswer(Document):
    products: int
    images: int
    revision: Revision = Field(description="Grows with every change.")
    index: "IndexState"
    model: "GalleryModel"


class IndexState(Document):
    kind: str = Field(examples=["flat-fp16"])
    state: str = Field(examples=["ready"])
    vectors: int


class GalleryModel(Document):
    """The embedder that the gallery's vectors come from."""

    name: str
    fingerprint: str
    dimension: int


class CalibrationAnswer(Document):
    """What a false-accept rate takes in this gallery, and how surely that is known."""

    threshold: Score = Field(
        description="Score from which a product is to be named.", examples=[0.672]
    )
    expected_false_accept_rate: Score = Field(
        description="Of photographs of unknown products: what was asked for, or more where the "
        "gallery has too few products to tell so small a rate.",
        examples=[0.05],
    )
    expected_miss_rate: Score = Field(
        description="Share of photographs of enrolled products whose product is then not named "
        "first: found by other references than its own.",
        examples=[0.19],
    )
    # A list, because generators of clients stumble over tuples.
    interval: list[Score] = Field(
        min_length=2,
        max_length=2,
        description="Lowest and highest false-accept rate to expect, 9 times in 10, on as many "
        "unknown products as the gallery has.",
        examples=[[0.021, 0.094]],
    )
    genuine: int = Field(description="References found by others of their product.", examples=[336])
    impostors: int = Field(
        description="References compared with all other products.", examples=[336]
    )
    products: int = Field(description="Products that these show.", examples=[28])
    gallery_revision: Revision = Field(examples=[351])
    model: str = Field(examples=["embedded-1.0.0+0a1b2c3d4e5f"])


class ProductBody(Document):
    """What `PUT /gallery/products/{id}` takes."""

    name: ProductName
    metadata: Metadata = Field(
        default_factory=dict, examples=[{"brand": "Sunhill", "department": "drinks"}]
    )


class ProductAnswer(Document):
    id: str
    name: str
    metadata: dict[str, Any]
    image_count: int
    version: Revision = Field(description="The revision of its last change; also its `ETag`.")
    created_at: datetime
    updated_at: datetime


class ProductDetail(ProductAnswer):
    images: list["ImageAnswer"]


class SamplesAnswer(Document):
    products: list[ProductAnswer]


class ProductPage(Document):
    products: list[ProductAnswer]
    next_cursor: str | None = Field(
        description="Send as `cursor` for the next page; null at the end."
    )


class ImageAnswer(Document):
    id: str
    product_id: str
    width: int
    height: int
    content_sha256: str = Field(description="Of the file that was sent.")
    created_at: datetime


class ChangeItem(Document):
    sequence: Revision = Field(description="The gallery's revision that the change made.")
    kind: ChangeKind
    product_id: str
    image_id: str | None
    at: datetime


class ChangesAnswer(Document):
    changes: list[ChangeItem]


class MissedItem(Document):
    """A reference that would be found as something else than its product."""

    image_id: str | None = Field(description="Null: the new one.")
    product_id: str
    own_score: Score = Field(description="By the other references of its product.")
    other_product_id: str | None = Field(
        description="What it would be taken for; null: the negative."
    )
    other_score: Score


class EffectAnswer(Document):
    """Leave-one-out recall@1, of the product and of those most like it, before and after."""

    references: int = Field(description="Asked before.")
    recall_before: Score | None = Field(
        description="Null where no reference has others of its product."
    )
    recall_after: Score | None
    newly_missed: list[MissedItem]
    newly_found: list[str] = Field(description="Ids of references.")


class HistoryItem(ChangeItem):
    author: str | None = Field(
        description="The key of whoever asked for it; null without keys.",
        examples=["office (1a2b3c4d)"],
    )
    request_id: str | None = Field(description="Of the request, as in the log.")
    before: dict[str, Any] | None = Field(
        description="A product's `name`, `metadata` and number of `images`, an image's "
        "`content_sha256`; null when there was none."
    )
    after: dict[str, Any] | None = Field(description="The same when it was done.")


class HistoryAnswer(Document):
    entries: list[HistoryItem] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for older ones; null at the end.")


class WarningItem(Document):
    code: Doubt
    detail: str
    product_id: IfAny[str] = Field(None, description="That it looks like, of a `look-alike`.")


class Problem(BaseModel):
    """An error, RFC 9457."""

    type: str = Field(examples=["urn:tillsight:problem:unsupported-image"])
    title: str = Field(examples=["Unsupported Media Type"])
    status: int = Field(examples=[415])
    detail: str = Field(
        examples=["This is not an image that can be read. Send JPEG, PNG, WebP, GIF or BMP."]
    )
    code: str = Field(examples=["unsupported-image"])
    errors: IfAny[list[dict[str, Any]]] = Field(
        None,
        description="What is wrong with which parameter, for `invalid-request`; "
        "which doubts, for `doubtful-reference`.",
    )
    effect: IfAny[EffectAnswer] = Field(
        None, description="What the change would do, for `lowers-recall`."
    )


class AddedImageItem(Document):
    """One entry per file sent, in order: an `id`, or the `error` that refused this file."""

    filename: IfAny[str] = None
    id: IfAny[str] = None
    duplicate: IfAny[bool] = Field(
        None, description="True: the product already had this image; `id` is the one it has."
    )
    warnings: list[WarningItem] = Field(
        [], description="Doubts about the reference; it was added all the same."
    )
    error: IfAny[Problem] = None


class AddImagesAnswer(Document):
    images: list[AddedImageItem]
    gallery_revision: Revision
    effect: IfAny[EffectAnswer] = Field(
        None, description="With `dry_run`: what adding them all would change."
    )


class JobAccepted(Document):
    job_id: str = Field(description="Ask `/jobs/{job_id}` how far it is.")


class JobsAnswer(Document):
    jobs: list[JobSummary]


class Health(Document):
    status: str = Field(examples=["ok"])
