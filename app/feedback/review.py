"""Feedback reviewed: approved into the gallery or as a negative, rejected, undone."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from app.enrolment.effect import Effect, predict
from app.enrolment.enroller import Enroller
from app.feedback.feedback import UNDOABLE, Feedback, FeedbackDecided, Item, Kind
from app.feedback.negatives import Negatives
from app.feedback.photographs import Photographs, Seen
from app.images import encode_thumbnail
from gallery import GalleryProtocol, UnknownImage
from models.detector import crop
from models.preprocess import Pyramid

# Pixels of the longest side of a picture in the queue: more than either network looks at.
_SIDE = 1280
_QUALITY = 92
_NAMESPACE = uuid.UUID("7b0f3c6e-5a5e-4c8e-9d3a-2f1f5b7f6d10")


class UnknownResult(Exception):
    """The answer has no result of this number."""


class NoProduct(Exception):
    """A reference has to be some product's."""


class LowersRecall(Exception):
    """An approval was held back: references that are found now would be missed."""

    def __init__(self, effect: Effect) -> None:
        before, after = effect.recall_before or 0.0, effect.recall_after or 0.0
        super().__init__(
            f"Leave-one-out recall of these products would fall from {before:.1%} to {after:.1%}: "
            f"{len(effect.newly_missed)} references would be found as something else. Look at "
            "them, reject this one, or approve it all the same with `force`."
        )
        self.effect = effect


class Review:
    """What becomes of feedback. Thread-safe: one decision at a time."""

    def __init__(
        self,
        feedback: Feedback,
        photographs: Photographs,
        gallery: GalleryProtocol,
        enroller: Enroller,
        negatives: Negatives,
        *,
        fingerprint: str,
    ) -> None:
        """Have the negatives searched, embedded again where another embedder's vectors are kept.

        Raises:
            StorageFailed: the feedback can't be read.
        """
        self._feedback = feedback
        self._photographs = photographs
        self._gallery = gallery
        self._enroller = enroller
        self._negatives = negatives
        self._fingerprint = fingerprint
        self._dimension = gallery.stats().dimension
        self._lock = Lock()
        for number, made_by in feedback.negatives():
            if made_by != fingerprint:
                vectors = self._embedded(number)
                feedback.embed_negative(number, vectors, fingerprint)
        self._search_negatives()

    def say(
        self,
        request_id: str,
        result: int,
        product_id: str | None,
        *,
        proceed: Callable[[], None],
    ) -> tuple[Item, bool]:
        """Note what a result really shows, None for none of the products; True when it is new.

        `proceed` is called before the photograph is decoded; what it raises ends the work.

        Raises:
            UnknownRecognition, UnknownResult: there is no such result, or no longer.
            UnknownProduct: what it is said to be is not in the gallery.
            FeedbackDecided, QueueFull: see Feedback.say.
        """
        data, results = self._photographs.get(request_id)
        if result >= len(results):
            raise UnknownResult(f"The answer has {len(results)} results; there is no {result}.")
        if product_id is not None:
            self._gallery.get_product(product_id)
        seen = results[result]
        proceed()
        picture = self._cut_out(data, seen)
        with self._lock, self._feedback.change():
            item, new = self._feedback.say(
                request_id, result, seen, product_id, picture, sha256(data).hexdigest()
            )
            self._feedback.note(item.id, "said", {"product_id": product_id})
        return item, new

    def approve(
        self,
        number: int,
        *,
        kind: Kind | None,
        product_id: str | None,
        force: bool,
        proceed: Callable[[], None],
    ) -> tuple[Item, Effect]:
        """Make an item's picture a reference of a product, or a negative.

        Args:
            number: of the item.
            kind: what of; None: a reference where a product is known, otherwise a negative.
            product_id: of whom; None: of the product that was said.
            force: also where recall would fall.
            proceed: called before the network and between searches; what it raises ends the work.

        Raises:
            UnknownFeedback, FeedbackDecided: it is not there, or does not wait as it did.
            NoProduct, UnknownProduct: of whom it would be a reference.
            PlainImage: nothing is on it that a product could be known by.
            LowersRecall: it was held back, which is noted.
            QueueFull: there are as many negatives as may be.
        """
        with self._lock:
            item = self._waiting(number)
        target = product_id or item.product_id
        kind = kind or ("negative" if target is None else "reference")
        if kind == "negative":
            target = None
        elif target is None:
            raise NoProduct("Say whose reference it is, or approve it as a negative.")
        else:
            self._gallery.get_product(target)
        proceed()
        picture = self._feedback.picture(number)
        # A negative may be plain: a bare table is one.
        read = self._enroller.read if target is None else self._enroller.read_reference
        (image,) = self._enroller.enrolled([read(picture)])
        vectors = np.asarray(image.vectors, np.float32)
        # Not under the lock: it takes seconds in a large gallery, while tills say something else.
        effect = predict(self._gallery, target, [vectors], proceed)
        told = {
            "as": kind,
            "product_id": target,
            "recall_before": effect.recall_before,
            "recall_after": effect.recall_after,
            "newly_missed": len(effect.newly_missed),
            "forced": force and effect.lowers_recall,
        }
        with self._lock:
            if self._waiting(number) != item or self._feedback.picture(number) != picture:
                raise FeedbackDecided(
                    f"What was said in feedback {number} has changed meanwhile; look at it again."
                )
            if effect.lowers_recall and not force:
                self._feedback.note(number, "held back", told)
                raise LowersRecall(effect)
            if target is None:
                with self._feedback.change():
                    self._feedback.approve_negative(
                        number, vectors.astype(np.float16), self._fingerprint
                    )
                    self._feedback.note(number, "approved", told)
                self._search_negatives()
            else:
                # An id that is always the same: cut off right here it is known as ours.
                ours = replace(image, id=_image_id(item))
                (added,) = self._gallery.add_images(target, [ours])
                with self._feedback.change():
                    self._feedback.approve(
                        number, target, added.id if added.id == ours.id else None
                    )
                    self._feedback.note(number, "approved", told)
            return self._feedback.get(number), effect

    def reject(self, number: int) -> Item:
        """Leave everything as it is. Raises UnknownFeedback or FeedbackDecided."""
        with self._lock:
            self._waiting(number)
            with self._feedback.change():
                self._feedback.reject(number)
                self._feedback.note(number, "rejected", {})
            return self._feedback.get(number)

    def undo(self, number: int) -> Item:
        """Have an item wait again, and take its reference or negative away.

        Raises:
            UnknownFeedback: it is not there.
            FeedbackDecided: it waits already, or was decided too long ago.
        """
        with self._lock:
            item = self._feedback.get(number)
            if item.state == "waiting":
                raise FeedbackDecided(f"Feedback {number} waits for review; nothing is undone.")
            if not item.undoable:
                raise FeedbackDecided(
                    f"Feedback {number} was {item.state} too long ago: the last {UNDOABLE} can be "
                    "undone. Change the gallery itself."
                )
            if item.image_id is not None:
                with suppress(UnknownImage):
                    self._gallery.delete_image(item.image_id)
            with self._feedback.change():
                self._feedback.wait_again(number)
                self._feedback.note(number, "undone", {"was": item.kept_as or item.state})
            if item.kept_as == "negative":
                self._search_negatives()
            return self._feedback.get(number)

    def _waiting(self, number: int) -> Item:
        """An item to decide upon; the lock is held.

        What an approval that was cut off left in the gallery is taken out: nobody has approved it.

        Raises UnknownFeedback, or FeedbackDecided when it does not wait.
        """
        item = self._feedback.get(number)
        if item.state != "waiting":
            raise FeedbackDecided(f"Feedback {number} is {item.state} already; undo that first.")
        with suppress(UnknownImage):
            self._gallery.delete_image(_image_id(item))
        return item

    def _cut_out(self, data: bytes, seen: Seen) -> bytes:
        body = crop(Pyramid(self._enroller.decode(data)), seen.box)
        return encode_thumbnail(body.pixels, max_side=_SIDE, quality=_QUALITY)

    def _embedded(self, number: int) -> NDArray[np.float16]:
        pixels = self._enroller.decode(self._feedback.picture(number))
        (vectors,) = self._enroller.embed([pixels])
        return vectors.astype(np.float16)

    def _search_negatives(self) -> None:
        kept = self._feedback.negative_vectors(self._dimension)
        self._negatives.replace([vectors.astype(np.float32) for vectors in kept])


def _image_id(item: Item) -> str:
    return uuid.uuid5(_NAMESPACE, f"{item.created_at} {item.id} {item.request_id}").hex
