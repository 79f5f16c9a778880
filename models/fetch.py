"""Official weights: fetched, checked, and installed as a pack."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx2 as httpx

from models.archive import extract_model
from models.download import Progress, download
from models.errors import FetchError
from models.pack import DetectorSpec, EmbedderSpec, Pack, PackManifest, sha256_of

Role = Literal["detector", "embedder"]

# The newer layout first, then the legacy one, as PaddleX and PaddleClas publish them.
_NEWER = "https://paddle-model-ecology.bj.bcebos.com/paddlex/official_inference_model/paddle3.0.0/"
_LEGACY = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/rec/models/inference/"
_ARCHIVES: dict[Role, tuple[tuple[str, str], ...]] = {
    "detector": (
        (_NEWER, "PP-ShiTuV2_det_infer.tar"),
        (_LEGACY, "picodet_PPLCNet_x2_5_mainbody_lite_v1.0_infer.tar"),
    ),
    "embedder": (
        (_NEWER, "PP-ShiTuV2_rec_infer.tar"),
        (_LEGACY, "PP-ShiTuV2/general_PPLCNetV2_base_pretrained_v1.0_infer.tar"),
    ),
}
OFFICIAL_PACKS = ("pp-shituv2",)

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_CHECK_SECONDS = 300
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_LICENCE = "Apache-2.0 (PaddleClas)"


def fetch_pack(
    name: str,
    destination: Path,
    *,
    source: str | None = None,
    progress: Progress = lambda _name, _done, _total: None,
) -> Pack:
    """Install the official pack `name` as the folder `destination`/`name`.

    Args:
        name: one of OFFICIAL_PACKS.
        destination: the folder of packs; made if missing. Interrupted downloads are kept in it and
            gone on with by the next call.
        source: a folder or an http(s) address that holds the archives, in either layout, instead
            of the official addresses.
        progress: called with an archive's name, the bytes that are here, and those in all if known.

    Returns:
        The installed pack. One of that name that was there before is replaced only now that the
        new one has been loaded and run.

    Raises:
        FetchError: no such pack, no connection, a bad archive, networks that do not keep the
            contract; the message says what to do.
    """
    if name not in OFFICIAL_PACKS:
        raise FetchError(
            f"There is no official pack {name!r}; there is {', '.join(OFFICIAL_PACKS)}"
        )
    downloads = destination / ".downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        with _alone(downloads):
            archives: dict[Role, tuple[Path, str]] = {
                role: _obtain(role, name, source, downloads, progress) for role in _ARCHIVES
            }
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=destination) as folder:
                staged = Path(folder) / name
                staged.mkdir()
                try:
                    Pack.write(staged, _extracted(name, staged, archives))
                    _check_by_running(staged)
                except FetchError:
                    # Fetching again must not find the same bad archives.
                    shutil.rmtree(downloads)
                    raise
                _install(staged, destination / name, Path(folder) / "replaced")
    except OSError as error:
        raise FetchError(f"The pack cannot be written to {destination}: {error}") from error
    shutil.rmtree(downloads, ignore_errors=True)
    return Pack.load(destination / name)


@contextmanager
def _alone(downloads: Path) -> Iterator[None]:
    with (downloads / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FetchError("This pack is already being fetched by another process") from error
        yield


def _obtain(
    role: Role, name: str, source: str | None, downloads: Path, progress: Progress
) -> tuple[Path, str]:
    """One role's archive on disk, and where it came from."""
    if source is not None and not source.startswith(("http://", "https://")):
        return _in_folder(role, Path(source))
    faults = []
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
        for url in _addresses(role, source):
            # A folder for each address: what one server sent is never joined to another's.
            target = downloads / hashlib.sha256(url.encode()).hexdigest()[:12] / Path(url).name
            target.parent.mkdir(exist_ok=True)
            try:
                if not target.exists():
                    download(client, url, target, progress)
                return target, url
            except FetchError as error:
                faults.append(str(error))
    raise FetchError(f"{'; '.join(faults)}.\n{_without_internet(name)}")


def _addresses(role: Role, source: str | None) -> list[str]:
    if source is None:
        return [base + path for base, path in _ARCHIVES[role]]
    # A mirror may keep the official folders or hold the files side by side.
    paths = [path for _, path in _ARCHIVES[role]]
    flat = [Path(path).name for path in paths]
    return [f"{source.rstrip('/')}/{path}" for path in dict.fromkeys(paths + flat)]


def _in_folder(role: Role, folder: Path) -> tuple[Path, str]:
    names = [Path(path).name for _, path in _ARCHIVES[role]]
    for path in (folder / name for name in names):
        if path.is_file():
            return path, path.name
    raise FetchError(f"{folder} holds none of the {role}'s archives: {' or '.join(names)}")


def _without_internet(name: str) -> str:
    ways = "\n  or\n".join(
        "\n".join(f"  {base}{path}" for base, path in pair)
        for pair in zip(*_ARCHIVES.values(), strict=True)
    )
    return (
        "Where there is internet, download both archives of one of these pairs:\n"
        f"{ways}\n"
        "put them into one folder, or behind one http address, and give that:\n"
        f"  tillsight models fetch {name} --from FOLDER_OR_URL"
    )


def _extracted(name: str, folder: Path, archives: dict[Role, tuple[Path, str]]) -> PackManifest:
    """Put the model files into the folder; what pack.toml says of them, as published."""
    files: dict[Role, tuple[str, str]] = {
        role: extract_model(archive, folder, role) for role, (archive, _) in archives.items()
    }
    hashes = {role: {file: sha256_of(folder / file) for file in files[role]} for role in files}
    origins = {
        role: f"PaddleClas, PP-ShiTuV2: {where} (archive's sha256 {sha256_of(archive)})"
        for role, (archive, where) in archives.items()
    }
    return PackManifest(
        name=name,
        version="2.0.0",
        description="The official PP-ShiTuV2 weights: PicoDet-LCNet x2.5 and PP-LCNetV2-base",
        detector=DetectorSpec(
            model=files["detector"][0],
            params=files["detector"][1],
            sha256=hashes["detector"],
            input_size=(640, 640),
            interpolation="cubic",
            scale=1 / 255,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            score_threshold=0.2,
            max_results=5,
            licence=_LICENCE,
            origin=origins["detector"],
        ),
        embedder=EmbedderSpec(
            model=files["embedder"][0],
            params=files["embedder"][1],
            sha256=hashes["embedder"],
            input_size=(224, 224),
            interpolation="linear",
            scale=1 / 255,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            dimension=512,
            match_threshold=0.5,
            ambiguous_margin=0.02,
            licence=_LICENCE,
            origin=origins["embedder"],
        ),
    )


def _check_by_running(folder: Path) -> None:
    # In another process: Paddle dies on some damaged files instead of raising.
    try:
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "models.verify", str(folder)],
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError("The fetched networks do not finish their first run") from error
    if run.returncode != 0:
        why = run.stderr.strip()[-1000:] or "no message"
        if run.returncode < 0:
            why = "Paddle crashes on them, so they are damaged"
        raise FetchError(f"The fetched networks do not work: {why}")


def _install(staged: Path, target: Path, replaced: Path) -> None:
    """Put `staged` where `target` is; what was there moves to `replaced`, or back on failure."""
    if target.exists():
        target.rename(replaced)
    try:
        staged.rename(target)
    except OSError:
        if replaced.exists():
            replaced.rename(target)
        raise
