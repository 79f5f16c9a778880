"""A pack: one detector, one embedder and the `pack.toml` that says how to use them."""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import PackError
from models.thresholds import MatchThreshold

PACK_FILE = "pack.toml"
PACKS = Path(__file__).parent / "packs"
PACK_NAME = "[a-z0-9][a-z0-9._-]{0,63}"
_FINGERPRINT_DIGITS = 16
_HASH_BLOCK = 1 << 20


def _plain_file_name(name: str) -> str:
    # A pack may come from elsewhere: its files lie beside pack.toml and nowhere else.
    plain = Path(name).name == name and name.isprintable() and "\\" not in name
    if not plain or name in {"", ".", "..", PACK_FILE}:
        raise ValueError("must be a plain file name in the pack's folder")
    return name


FileName = Annotated[str, AfterValidator(_plain_file_name)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Side = Annotated[int, Field(ge=8, le=4096)]
Positive = Annotated[float, Field(gt=0)]
Interpolation = Literal["linear", "cubic", "area"]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NetworkSpec(_Strict):
    """One network's files and the pre-processing it was trained with.

    `input_size` is (height, width) in pixels. A pixel value `v` becomes
    `(v * scale - mean) / std`, RGB, channels first.
    """

    model: FileName
    params: FileName
    sha256: dict[FileName, Sha256]
    # TOML's arrays are lists, which no strict tuple is made of; what is in them stays strict.
    input_size: tuple[Side, Side] = Field(strict=False)
    interpolation: Interpolation
    scale: Positive
    mean: tuple[float, float, float] = Field(strict=False)
    std: tuple[Positive, Positive, Positive] = Field(strict=False)
    licence: str = Field(min_length=1)
    origin: str = Field(min_length=1)

    @model_validator(mode="after")
    def _names_the_hash_of_every_file(self) -> Self:
        if set(self.sha256) != {self.model, self.params}:
            raise ValueError("sha256 must name exactly the model and the params file")
        return self

    def _fingerprint(self, *others: str) -> str:
        """16 hex digits over weights, pre-processing and the named fields besides."""
        content: dict[str, Any] = {"files": [self.sha256[self.model], self.sha256[self.params]]}
        for name in ("input_size", "interpolation", "scale", "mean", "std", *others):
            content[name] = getattr(self, name)
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


class DetectorSpec(NetworkSpec):
    """The PicoDet contract: NMS is in the graph."""

    score_threshold: Share
    max_results: int = Field(ge=1, le=100)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over whatever changes the best box."""
        return self._fingerprint("score_threshold")


class EmbedderSpec(NetworkSpec):
    """Thresholds are inner products of unit vectors; `match_…`: models.thresholds."""

    dimension: int = Field(ge=1, le=8192)
    match_threshold: float = Field(ge=-1, le=1)
    match_growth: Share = 0.0
    ambiguous_margin: Share

    @property
    def threshold(self) -> MatchThreshold:
        """The score from which a product is named, by the size of the gallery."""
        return MatchThreshold(self.match_threshold, self.match_growth)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over whatever changes a vector: weights and pre-processing."""
        return self._fingerprint("dimension")


class PackManifest(_Strict):
    """The content of `pack.toml`."""

    name: str = Field(pattern=f"^{PACK_NAME}$")
    version: str = Field(min_length=1)
    description: str
    detector: DetectorSpec
    embedder: EmbedderSpec


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack on disk whose files are known to be the ones `pack.toml` names."""

    folder: Path
    manifest: PackManifest

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `pack.toml` and check the sha256 of every file it names.

        Raises:
            PackError: no such pack, an unknown or wrong key, a missing or changed file.
        """
        manifest = read_manifest(folder)
        for network in (manifest.detector, manifest.embedder):
            for name, expected in network.sha256.items():
                _check_file(folder / name, expected)
        return cls(folder, manifest)

    @classmethod
    def write(cls, folder: Path, manifest: PackManifest) -> Self:
        """Write `pack.toml` beside the files that it names.

        Raises:
            PackError: one of them is missing or has another sha256.
        """
        (folder / PACK_FILE).write_text(_toml(manifest), encoding="utf-8")
        return cls.load(folder)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def detector(self) -> DetectorSpec:
        return self.manifest.detector

    @property
    def embedder(self) -> EmbedderSpec:
        return self.manifest.embedder


def read_manifest(folder: Path) -> PackManifest:
    """What `pack.toml` says, whether the files that it names are there or not.

    Raises:
        PackError: there is none, or it has an unknown or wrong key.
    """
    path = folder / PACK_FILE
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return PackManifest.model_validate(content)
    except OSError as error:
        raise PackError(f"{path} cannot be read ({error.strerror}): is this a pack?") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise PackError(f"{path} does not describe a pack: {faults}") from error


def list_packs(search_dirs: Iterable[Path]) -> list[Path]:
    """Folders that hold a `pack.toml`, first come first; a name found twice counts once."""
    found: dict[str, Path] = {}
    for directory in search_dirs:
        for manifest in sorted(directory.glob(f"*/{PACK_FILE}")):
            # Fetching writes into a hidden folder until the pack is whole.
            if not manifest.parent.name.startswith("."):
                found.setdefault(manifest.parent.name, manifest.parent)
    return list(found.values())


def find_pack(name: str, search_dirs: Iterable[Path]) -> Pack:
    """Load the first pack called `name`.

    Raises:
        PackError: there is none, or it is damaged.
    """
    return Pack.load(folder_of(name, search_dirs))


def folder_of(name: str, search_dirs: Iterable[Path]) -> Path:
    """Where the first pack called `name` lies, damaged or not.

    Raises:
        PackError: there is none.
    """
    folders = {folder.name: folder for folder in list_packs(search_dirs)}
    if name not in folders:
        known = ", ".join(folders) or "none"
        raise PackError(
            f"There is no pack {name!r}; installed: {known}. "
            f"If it is an official one, `tillsight models fetch {name}` installs it."
        )
    return folders[name]


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _toml(manifest: PackManifest) -> str:
    content = manifest.model_dump(mode="json")
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    lines = [_toml_line(key, value) for key, value in content.items() if key not in tables]
    for table, fields in tables.items():
        lines += ["", f"[{table}]", *(_toml_line(key, value) for key, value in fields.items())]
    return "\n".join(lines) + "\n"


def _toml_line(key: str, value: Any) -> str:
    # JSON's strings, numbers and arrays are TOML's too; only its objects are not.
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(name)} = {json.dumps(of)}" for name, of in value.items())
        return f"{key} = {{ {pairs} }}"
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _check_file(path: Path, expected: str) -> None:
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise PackError(
            f"{path} is named in {PACK_FILE} but cannot be read ({error.strerror}): "
            "install the pack again"
        ) from error
    if actual != expected:
        raise PackError(
            f"{path} is not the file {PACK_FILE} names (sha256 {actual[:12]}… instead of "
            f"{expected[:12]}…): it is damaged or was replaced; install the pack again"
        )
