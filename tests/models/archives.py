"""Archives in the two published layouts, and a local HTTP server that can misbehave."""

import io
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.models.tiny_packs import model_files

NEWER = {"detector": "PP-ShiTuV2_det_infer.tar", "embedder": "PP-ShiTuV2_rec_infer.tar"}
LEGACY_LAYOUT = {
    "detector": "picodet_PPLCNet_x2_5_mainbody_lite_v1.0_infer.tar",
    "embedder": "PP-ShiTuV2/general_PPLCNetV2_base_pretrained_v1.0_infer.tar",
}


def archive(members: dict[str, bytes]) -> bytes:
    """An uncompressed tar of regular files."""
    return archive_of([(regular(name, content), content) for name, content in members.items()])


def archive_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def regular(name: str, content: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info


def published(source: Path, layout: dict[str, str]) -> dict[str, bytes]:
    """Both archives by their path, from the tiny networks in a folder, as the layout names them."""
    made = {}
    for role, path in layout.items():
        model, params = model_files(source, role)
        top = Path(path).name.removesuffix(".tar")
        made[path] = archive(
            {
                f"{top}/inference{model.suffix}": model.read_bytes(),
                f"{top}/inference.pdiparams": params.read_bytes(),
                f"{top}/inference.yml": b"Global: {}\n",
            }
        )
    return made


class FileServer(ThreadingHTTPServer):
    """Serves `files` with ranges; `faults` maps a path to what goes wrong, once each, in order.

    A fault is a status to answer, or "cut": half of what was asked for and a closed connection.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.faults: dict[str, list[int | str]] = {}
        self.ranges = True
        self.requests: list[tuple[str, str | None]] = []  # path, Range

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self):
        path = self.path.lstrip("/")
        asked = self.headers.get("Range")
        self.server.requests.append((path, asked))
        fault = self.server.faults[path].pop(0) if self.server.faults.get(path) else None
        if isinstance(fault, int) or path not in self.server.files:
            self.send_response(fault or 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.server.files[path]
        etag = self.server.etags.get(path, '"1"')
        start = 0
        if asked and self.server.ranges and self.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content) > 0:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            extent = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", extent)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
