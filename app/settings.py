"""Settings: environment variables with the prefix `TILLSIGHT_`, each with a documented default."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.enrolment.guard import Doubt
from app.feedback.photographs import Bounds
from app.images import ImageLimits
from gallery import InvalidValue, checked_place, checked_url, folder_of
from models.pack import PACKS
from models.session import Engine
from models.thresholds import COARSEST_RATE, FINEST_RATE

MIB = 1024 * 1024
PositiveInt = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """What an operator can choose. `docs/configuration.md` lists the same; a test compares."""

    model_config = SettingsConfigDict(env_prefix="TILLSIGHT_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(
        Path("data"),
        description="Folder of the gallery and of fetched packs; one service at a time uses it.",
    )
    gallery_url: str = Field(
        "",
        description="Where the gallery is: `sqlite:///folder`, or `http://host:19530` of a Milvus "
        "server that replicas share; by default a folder in the data folder.",
    )
    gallery_pictures: str = Field(
        "",
        description="Where replicas share the pictures of a gallery on Milvus: a folder, or "
        "`s3://bucket/prefix` with `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and "
        "`AWS_SECRET_ACCESS_KEY`; by default a folder in the data folder.",
    )
    pack: str = Field("embedded", description="Model pack: a name (`tillsight models list`).")
    threads: PositiveInt = Field(
        10, description="Threads for inference; never more than the cores there are."
    )
    engine: Engine = Field(
        "paddle-fp32",
        description="What runs the networks: `paddle-fp32`, `paddle-bf16`, `openvino-fp32` or "
        "`openvino-bf16`. OpenVINO, the quicker one, comes with requirements-extras.lock; bf16 is "
        "for processors with AVX512_BF16 or AMX.",
    )
    rerank: bool = Field(
        True,
        description="Compare products that are near each other by what is printed on them, too.",
    )
    sample_gallery: bool = Field(
        True, description="Enrol the sample products when the data folder is empty."
    )
    max_image_bytes: PositiveInt = Field(20 * MIB, description="Largest image file, in bytes.")
    max_request_bytes: PositiveInt = Field(
        200 * MIB, description="Largest request body, all its files together, in bytes."
    )
    max_import_bytes: PositiveInt = Field(
        4096 * MIB, description="Largest archive to import, in bytes."
    )
    max_files: PositiveInt = Field(64, description="Most images in one request.")
    max_pending: PositiveInt = Field(
        128,
        description="Most requests with images, waiting ones included, three quarters of them one "
        "key's; more are answered 429.",
    )
    deadline_seconds: PositiveInt = Field(
        30,
        description="Nobody waits longer for an answer: work not done by then is dropped, 503.",
    )
    max_image_pixels: PositiveInt = Field(
        50_000_000, description="Most pixels of an image (width × height), read from its header."
    )
    min_image_side: PositiveInt = Field(
        16, description="Shortest side of an image that is still recognised, in pixels."
    )
    false_accept_rate: float = Field(
        0.0,
        ge=0,
        le=COARSEST_RATE,
        description="Share of photographs of unknown products that may be named where a request "
        "says neither `threshold` nor `false_accept_rate`. 0: the pack's threshold for so many "
        "products.",
    )
    refuse_references: str = Field(
        "",
        description="Doubtful references that are refused rather than added with a warning, "
        "separated by commas: look-alike, no-body, blurred, too-small.",
    )
    keep_photographs: int = Field(
        1000,
        ge=0,
        description="Most recognised photographs that are kept on the disk for a while, so that "
        "feedback can be given on them; 0: none.",
    )
    keep_photographs_bytes: PositiveInt = Field(
        512 * MIB, description="Most bytes of kept photographs, all together."
    )
    keep_photographs_hours: PositiveInt = Field(
        24, description="A photograph is kept no longer than these hours."
    )
    anonymous_access: bool = Field(
        False,
        description="Listen beyond the loopback though there are no keys: whoever reaches the port "
        "may do everything.",
    )
    exit_when_stuck: int = Field(
        120,
        ge=0,
        description="End the process when a forward pass takes longer than these seconds, so that "
        "it is started again; 0: never.",
    )
    cors_origins: str = Field(
        "",
        description="Origins whose web pages may call, such as `https://till.example`, separated "
        "by commas; `*` for all.",
    )
    api_key: SecretStr = Field(
        SecretStr(""), description="Key that commands send to a service elsewhere (`--url`)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="How much is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="A JSON document per line, or text; auto: text on a terminal only."
    )

    @field_validator("false_accept_rate")
    @classmethod
    def _check_rate(cls, value: float) -> float:
        if 0 < value < FINEST_RATE:
            raise ValueError(f"a rate is 0, for the pack's threshold, or at least {FINEST_RATE}")
        return value

    @field_validator("gallery_url")
    @classmethod
    def _check_gallery(cls, value: str) -> str:
        try:
            return checked_url(value) if value else value
        except InvalidValue as error:
            raise ValueError(str(error)) from error

    @field_validator("gallery_pictures")
    @classmethod
    def _check_pictures(cls, value: str) -> str:
        try:
            return checked_place(value)
        except InvalidValue as error:
            raise ValueError(str(error)) from error

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in _split(value):
            # Browsers send scheme, host and port, nothing behind them.
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(f"{origin!r} is no origin, such as https://till.example")
        return value

    @field_validator("refuse_references")
    @classmethod
    def _check_doubts(cls, value: str) -> str:
        for doubt in _split(value):
            if doubt not in get_args(Doubt):
                raise ValueError(f"{doubt!r} is none of {', '.join(get_args(Doubt))}")
        return value

    @property
    def refused_doubts(self) -> list[Doubt]:
        return [doubt for doubt in get_args(Doubt) if doubt in _split(self.refuse_references)]

    @property
    def origins(self) -> list[str]:
        return _split(self.cors_origins)

    @property
    def keys_path(self) -> Path:
        return self.data_dir / "keys.json"

    @property
    def answers_path(self) -> Path:
        return self.data_dir / "answers.sqlite3"

    @property
    def jobs_path(self) -> Path:
        return self.data_dir / "jobs"

    @property
    def photographs_path(self) -> Path:
        return self.data_dir / "photographs"

    @property
    def feedback_path(self) -> Path:
        return self.data_dir / "feedback.sqlite3"

    @property
    def features_path(self) -> Path:
        return self.data_dir / "features.sqlite3"

    @property
    def fetched_packs(self) -> Path:
        """Packs that were downloaded: run-time state, so with the data."""
        return self.data_dir / "packs"

    @property
    def pack_folders(self) -> list[Path]:
        """Where packs are looked for: the repository's own first."""
        return [PACKS, self.fetched_packs]

    @property
    def gallery(self) -> str:
        """The URL of the gallery."""
        return self.gallery_url or f"sqlite:///{self.data_dir / 'gallery'}"

    @property
    def gallery_folder(self) -> Path | None:
        """The gallery's folder; None when it is on a server."""
        return folder_of(self.gallery)

    @property
    def pictures(self) -> str:
        """Where those of a gallery on a server are."""
        return self.gallery_pictures or str(self.data_dir / "pictures")

    @property
    def kept_photographs(self) -> Bounds:
        return Bounds(
            most=self.keep_photographs,
            most_bytes=self.keep_photographs_bytes,
            seconds=self.keep_photographs_hours * 3600,
        )

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
            min_side=self.min_image_side,
        )


def misspelt() -> list[str]:
    """Variables of the environment that have our prefix and are no settings."""
    prefix = "TILLSIGHT_"
    known = {f"{prefix}{name.upper()}" for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith(prefix) and name not in known)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
