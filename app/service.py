"""What is loaded once, at start: the models, the gallery, and the recogniser over both."""

import logging
from contextlib import ExitStack, closing
from threading import Event, Thread

from app.audit.auditor import Auditor
from app.beside_samples import SearchBesideSamples
from app.calibration.calibrator import Calibrator
from app.data_folder import DataFolder
from app.enrolment.enroller import Enroller
from app.enrolment.guard import Guard
from app.features_ahead import FeaturesAhead
from app.feedback.feedback import Feedback
from app.feedback.negatives import Negatives, SearchPastNegatives
from app.feedback.photographs import Photographs
from app.feedback.review import Review
from app.idempotency import Answers
from app.jobs import Jobs, Kind, Work
from app.kept_features import KeptFeatures
from app.keys import KeyRing
from app.recognizer import Recognizer
from app.reranker import Reranker
from app.sample import enrol_sample_gallery
from app.self_check import SelfCheck
from app.settings import Settings
from app.transfer.importing import Importer, rebuild_index
from gallery import (
    Author,
    GalleryDamaged,
    GalleryUnavailable,
    StorageFailed,
    authored,
    open_gallery,
)
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack, find_pack
from models.preprocess import reading_side
from models.widths import Cores

logger = logging.getLogger(__name__)

# Of enrolling the samples, when a disk is full or somebody holds the database.
SECONDS_BETWEEN_TRIES = 10


class Service:
    """Everything a request needs. Starting it loads and warms the models; close it to stop."""

    def __init__(self, settings: Settings) -> None:
        """Load what `settings` names.

        Raises:
            DataFolderInUse: another process holds the data folder.
            ModelError: the pack is missing or damaged.
            GalleryError: the gallery can't be opened with this pack.
            KeyProblem: the keys can't be read.
        """
        self.settings = settings
        self.keys = KeyRing(settings.keys_path)
        with ExitStack() as opened:
            self.folder = opened.enter_context(closing(DataFolder(settings.data_dir)))
            self.answers = opened.enter_context(closing(Answers(settings.answers_path)))
            self.pack = find_pack(settings.pack, settings.pack_folders)
            self.cores = Cores()
            how = settings.threads, settings.engine, self.cores
            self.detector = opened.enter_context(closing(Detector(self.pack, *how)))
            self.embedder = opened.enter_context(closing(Embedder(self.pack, *how)))
            self.check = opened.enter_context(
                closing(
                    SelfCheck(self.detector, self.embedder, exit_after=settings.exit_when_stuck)
                )
            )
            self.gallery = opened.enter_context(
                open_gallery(
                    settings.gallery,
                    pictures=settings.pictures,
                    dimension=self.embedder.dimension,
                    fingerprint=self.embedder.fingerprint,
                )
            )
            self.auditor = opened.enter_context(closing(Auditor(self.gallery)))
            self.calibrator = opened.enter_context(
                closing(Calibrator(self.gallery, self.pack.embedder.threshold))
            )
            self.enroller = Enroller(self.detector, self.embedder, settings.image_limits)
            self.guard = Guard(
                SearchBesideSamples(self.gallery), self.pack.embedder, settings.refused_doubts
            )
            self.photographs = opened.enter_context(
                closing(Photographs(settings.photographs_path, settings.kept_photographs))
            )
            self.feedback = opened.enter_context(closing(Feedback(settings.feedback_path)))
            negatives = Negatives()
            self.review = Review(
                self.feedback,
                self.photographs,
                self.gallery,
                self.enroller,
                negatives,
                fingerprint=self.embedder.fingerprint,
            )
            reranker = None
            if settings.rerank:
                kept = opened.enter_context(closing(KeptFeatures(settings.features_path)))
                reranker = Reranker(self.gallery, kept)
                if not settings.gallery_url:  # a server is not asked for all that it holds
                    opened.enter_context(
                        closing(FeaturesAhead(self.gallery, reranker, self._models_are_busy))
                    )
            importer = Importer(
                self.gallery, self.enroller, settings.image_limits, self._models_are_busy
            )
            work: dict[Kind, Work] = {
                "import": importer.run,
                "rebuild": rebuild_index(self.gallery),
            }
            self.jobs = opened.enter_context(closing(Jobs(settings.jobs_path, work)))
            # All of it or, when one fails to start, none of it stays open.
            self._opened = opened.pop_all()
        self.recognizer = Recognizer(
            self.detector,
            self.embedder,
            SearchPastNegatives(SearchBesideSamples(self.gallery.relaxed), negatives),
            threshold=self.pack.embedder.threshold,
            ambiguous_margin=self.pack.embedder.ambiguous_margin,
            reranker=reranker,
        )
        self.model = model_name(self.pack)
        self.reading_side = reading_side(self.pack.detector, self.pack.embedder)
        self._stopping = Event()
        self._not_ready: str | None = None
        self._samples: Thread | None = None
        if settings.sample_gallery and not settings.gallery_url:
            self._not_ready = "The sample gallery is being enrolled."
            self._samples = Thread(target=self._enrol_samples, name="sample-gallery")
            self._samples.start()

    def not_ready(self) -> str | None:
        """Why the service can't answer properly; None when it can.

        A picture has gone through both networks when this object exists, and does so again all the
        time.
        """
        if self._not_ready:
            return self._not_ready
        if fault := self.check.fault():
            return fault
        try:
            if not self.gallery.consistent():
                return "The index does not agree with the database yet."
        except (GalleryDamaged, GalleryUnavailable, StorageFailed) as error:
            return str(error)
        return None

    def _models_are_busy(self) -> bool:
        return self.detector.queue_depth + self.embedder.queue_depth > 0

    def close(self) -> None:
        """Stop, in the reverse order of starting."""
        self._stopping.set()
        if self._samples is not None:
            self._samples.join()
        self._opened.close()

    def _enrol_samples(self) -> None:
        try:
            while not self._samples_enrolled():
                self._stopping.wait(SECONDS_BETWEEN_TRIES)
            self._not_ready = None
        except Exception:
            # A thread's exception would go nowhere: readiness tells it instead.
            logger.exception("The sample gallery could not be enrolled.")
            self._not_ready = "The sample gallery could not be enrolled; see the log."

    def _samples_enrolled(self) -> bool:
        """Whether they are, or need not be; what was refused may succeed later."""
        try:
            with authored(Author("sample gallery")):
                enrol_sample_gallery(
                    self.gallery,
                    self.enroller,
                    self.pack,
                    self.folder.path / "samples.state",
                    self._stopping,
                )
        except (OSError, StorageFailed) as error:
            logger.warning("The sample gallery could not be enrolled yet: %s", error)
            self._not_ready = "The sample gallery could not be enrolled yet; see the log."
            return self._stopping.is_set()
        return True


def model_name(pack: Pack) -> str:
    """How answers name the models: pack, version, and the embedder's fingerprint."""
    return f"{pack.name}-{pack.version}+{pack.embedder.fingerprint[:12]}"
