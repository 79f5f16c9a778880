"""Taking the model files, and nothing else, out of an archive that is not trusted."""

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from models.errors import FetchError

# The official archives hold 3 to 5 members; the largest pack there is unpacks to 1.1 GB.
_MAX_MEMBERS = 64
_MAX_BYTES = 2 << 30
_MODELS = ("inference.json", "inference.pdmodel")  # where both are there, the newer format
_PARAMS = "inference.pdiparams"


def extract_model(archive: Path, folder: Path, stem: str) -> tuple[str, str]:
    """Write the model and its parameters as `stem`.json or .pdmodel and `stem`.pdiparams.

    Both published layouts are understood: the files lie at the top or in one folder. Returns the
    two names written.

    Raises:
        FetchError: not such an archive, a damaged one, or one with a member that reaches outside,
            links, is a device or is far too large. Nothing of an archive refused is written.
    """
    try:
        with tarfile.open(archive, "r:*") as tar:
            members = _checked_members(tar, folder)
            model = next((name for name in _MODELS if name in members), None)
            if model is None or _PARAMS not in members:
                raise FetchError(
                    f"{archive.name} holds no inference model: it should have {_PARAMS} and "
                    f"{' or '.join(_MODELS)}, and has {', '.join(sorted(members)) or 'no files'}"
                )
            written = (f"{stem}{Path(model).suffix}", f"{stem}.pdiparams")
            for name, target in zip((model, _PARAMS), written, strict=True):
                _copy(tar, members[name], folder / target)
            return written
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{archive.name} cannot be unpacked: {error}") from error


def _checked_members(tar: tarfile.TarFile, folder: Path) -> dict[str, tarfile.TarInfo]:
    """Regular files by their last name, once every member is known to be harmless."""
    found: dict[str, tarfile.TarInfo] = {}
    unpacked = 0
    for count, member in enumerate(tar, start=1):
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name:
            raise FetchError(f"The archive has a member outside its folder: {member.name!r}")
        if not (member.isfile() or member.isdir()):
            raise FetchError(f"The archive has a link or a device: {member.name!r}")
        tarfile.data_filter(member, str(folder))
        unpacked += member.size
        if count > _MAX_MEMBERS or unpacked > _MAX_BYTES:
            raise FetchError(
                f"The archive is larger than {_MAX_MEMBERS} files or {_MAX_BYTES >> 20} MB"
            )
        if member.isfile() and path.name in found:
            raise FetchError(f"The archive has {path.name} twice")
        if member.isfile():
            found[path.name] = member
    return found


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source: IO[bytes] | None = tar.extractfile(member)
    if source is None:
        raise FetchError(f"The archive's {member.name!r} cannot be read")
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    if target.stat().st_size != member.size:
        raise FetchError(f"The archive ends in the midst of {member.name!r}")
