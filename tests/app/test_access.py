"""Who may call what: every route with every scope, and none."""

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.data_folder import DataFolder
from app.http.access import access_to
from app.http.application import create_app
from app.keys import Scope, create_key, revoke_key
from app.service import Service
from app.settings import Settings
from tests.app import pictures
from tests.app.problems import assert_problem
from tests.app.test_openapi import OPERATIONS

OPEN = {"/healthz", "/readyz"}
ADMIN = {"/metrics", "/gallery/rebuild"}
SHOWN_BY_TILLS = {
    ("GET", "/gallery/products/{product_id}"),
    ("GET", "/gallery/images/{image_id}"),
    ("GET", "/gallery/images/{image_id}/thumbnail"),
}
RECOGNIZE = {"/detect", "/embed", "/recognize", "/verify", "/explain", "/explain/picture"}
PAGE = "https://till.example"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own, for keys that others must not need; one page may call it."""
    folder = tmp_path_factory.mktemp("locked")
    settings = Settings(data_dir=folder, sample_gallery=False, exit_when_stuck=0, cors_origins=PAGE)
    with closing(Service(settings)) as started:
        yield started


@pytest.fixture(scope="module")
def tokens(locked: Service) -> dict[Scope, str]:
    path = locked.settings.keys_path
    return {scope: create_key(path, scope, [scope])[1] for scope in Scope}


@pytest.fixture
def caller(locked: Service, tokens: dict[Scope, str]) -> Iterator[TestClient]:
    with TestClient(create_app(locked), raise_server_exceptions=False) as started:
        yield started


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def allowed(method: str, path: str) -> set[Scope]:
    if path in OPEN:
        return set(Scope)
    if path in ADMIN:
        return {Scope.ADMIN}
    if (method, path) in SHOWN_BY_TILLS:
        return {Scope.RECOGNIZE, Scope.GALLERY}
    by_tills = path in RECOGNIZE or (method, path) == ("POST", "/feedback")
    return {Scope.RECOGNIZE if by_tills else Scope.GALLERY}


def test_every_route_has_a_scope_or_is_open() -> None:
    forgotten = [call for call in OPERATIONS if access_to(*call) is None]
    assert forgotten == []


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_route_with_every_scope(
    caller: TestClient, tokens: dict[Scope, str], method: str, path: str
) -> None:
    address = path.replace("{", "").replace("}", "")
    for scope, token in tokens.items():
        answer = caller.request(method, address, headers=bearer(token))
        if scope in allowed(method, path):
            assert answer.status_code not in (401, 403), (scope, answer.text)
        else:
            problem = assert_problem(answer, 403, "missing-scope")
            assert all(scope in problem["detail"] for scope in allowed(method, path))
            assert "insufficient_scope" in answer.headers["www-authenticate"]
    if method == "GET" and path not in OPEN:
        told = caller.head(address, headers=bearer(tokens[Scope.RECOGNIZE])).status_code
        assert (told == 403) == (Scope.RECOGNIZE not in allowed(method, path))
    without = caller.request(method, address)
    if path in OPEN:
        assert without.is_success
    else:
        assert_problem(without, 401, "missing-key")
        assert without.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "//gallery",
        "/gallery/",
        "/Gallery",
        "/healthz/x",
        "/docs/../metrics",
        "/%2e",
    ],
)
def test_no_path_leads_around_the_keys(caller: TestClient, path: str) -> None:
    # Put together here: the client would take what follows two slashes for the name of a host.
    answer = caller.get(f"{caller.base_url}{path}")
    if answer.status_code != 401:
        assert_problem(answer, 404, "not-found")
        assert path == "/healthz/x"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"])
def test_the_documentation_is_open(caller: TestClient, path: str) -> None:
    assert caller.get(path).is_success


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic dGlsbDp0aWxs",
        "Bearer tillsight_0_0",
        "\xff \xff",
    ],
)
def test_what_is_no_key_is_refused(caller: TestClient, authorization: str) -> None:
    answer = caller.get("/gallery", headers={"Authorization": authorization.encode("latin-1")})
    assert_problem(answer, 401, "invalid-key")


def test_a_body_is_not_read_without_a_key(caller: TestClient) -> None:

    answer = caller.put("/gallery/products/x", content=b"{broken")
    assert_problem(answer, 401, "missing-key")


def test_a_key_counts_from_and_until_the_command(caller: TestClient, locked: Service) -> None:
    path = locked.settings.keys_path
    _, token = create_key(path, "kiosk", [Scope.GALLERY])
    assert caller.get("/gallery", headers=bearer(token)).is_success
    revoke_key(path, "kiosk")
    assert_problem(caller.get("/gallery", headers=bearer(token)), 401, "invalid-key")


def test_commands_need_no_key_made_for_them(caller: TestClient, locked: Service) -> None:
    own = bearer(locked.keys.own_token)
    assert caller.get("/gallery", headers=own).is_success
    assert caller.get("/metrics", headers=own).is_success


def test_a_key_may_not_call_more_often_than_it_may(caller: TestClient, locked: Service) -> None:
    _, token = create_key(locked.settings.keys_path, "slow", [Scope.RECOGNIZE], per_minute=2)
    image = {"image": pictures.jpeg(1)}
    for _ in range(2):
        assert caller.post("/detect", headers=bearer(token), files=image).is_success
    answer = caller.post("/detect", headers=bearer(token), files=image)
    assert_problem(answer, 429, "rate-limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 30


def test_the_api_document_tells_of_keys(caller: TestClient) -> None:
    document = caller.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for method, path in OPERATIONS:
        operation = document["paths"][path][method.lower()]
        if path in OPEN:
            assert operation["security"] == []
        else:
            scopes = [scope for needed in operation["security"] for scope in needed["key"]]
            assert set(scopes) == allowed(method, path)
            assert len(operation["security"]) == len(scopes)
            assert {"401", "403", "429"} <= operation["responses"].keys()


class TestWebPages:
    def test_of_a_named_origin_may_call(self, caller: TestClient, tokens: dict[Scope, str]) -> None:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}
        asked["Access-Control-Request-Headers"] = "authorization,if-match"
        preflight = caller.options("/gallery/products/x", headers=asked)
        assert preflight.is_success
        assert preflight.headers["access-control-allow-origin"] == PAGE
        answer = caller.get("/gallery", headers=bearer(tokens[Scope.GALLERY]) | {"Origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-credentials" not in answer.headers

    def test_may_send_every_header_that_is_read(self, caller: TestClient) -> None:
        paths = caller.get("/openapi.json").json()["paths"]
        read = {
            parameter["name"]
            for method, path in OPERATIONS
            for parameter in paths[path][method.lower()].get("parameters", [])
            if parameter["in"] == "header"
        }
        assert {"if-match", "idempotency-key"} <= read
        read |= {"authorization", "content-type", "x-request-id", "traceparent", "tracestate"}
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = ",".join(sorted(read))
        assert caller.options("/gallery/products/x/images", headers=asked).is_success

    def test_may_read_why_they_were_refused(self, caller: TestClient) -> None:
        answer = caller.get("/gallery", headers={"Origin": PAGE})
        assert_problem(answer, 401, "missing-key")
        assert answer.headers["access-control-allow-origin"] == PAGE

    def test_of_another_origin_may_not(self, caller: TestClient) -> None:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        preflight = caller.options("/gallery", headers=asked)
        assert_problem(preflight, 400, "refused-preflight")
        assert "access-control-allow-origin" not in preflight.headers


class TestWithoutKeys:
    """A service on the loopback that has none: all may call but other people's web pages."""

    def test_everybody_may_call(self, client: TestClient) -> None:
        assert client.get("/gallery").is_success
        assert client.get("/metrics").is_success

    def test_its_own_page_may_call(self, client: TestClient) -> None:
        headers = {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"}
        assert client.post("/gallery/rebuild", headers=headers).is_success

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://127.0.0.1:9000", "http://[", ""]
    )
    def test_a_foreign_page_may_not(self, client: TestClient, origin: str) -> None:
        headers = {"Host": "127.0.0.1:8000", "Origin": origin}
        answer = client.post("/detect", headers=headers, files={"image": pictures.jpeg(1)})
        assert_problem(answer, 403, "foreign-origin")

    def test_every_page_may_where_all_are_named(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named = service.settings.model_copy(update={"cors_origins": "*"})
        monkeypatch.setattr(service, "settings", named)
        headers = {"Host": "127.0.0.1:8000", "Origin": "https://till.example"}
        with TestClient(create_app(service)) as client:
            answer = client.get("/gallery", headers=headers)
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == "*"

    @pytest.mark.parametrize("anonymous", [False, True])
    def test_nor_one_whose_name_was_made_to_point_here(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, anonymous: bool
    ) -> None:
        # In a container all is reached from outside, which its settings allow.
        settings = {"cors_origins": PAGE, "anonymous_access": anonymous, "host": "0.0.0.0"}
        monkeypatch.setattr(service, "settings", service.settings.model_copy(update=settings))
        evil, own = "evil.example:8000", PAGE.partition("://")[2]
        with TestClient(create_app(service)) as client:
            for headers in ({"Host": evil, "Origin": f"http://{evil}"}, {"Host": evil}):
                refused = client.delete("/gallery/samples", headers=headers)
                assert_problem(refused, 403, "foreign-origin")
            for headers in ({"Host": own, "Origin": PAGE}, {"Host": f"{own.upper()}:8000"}):
                assert client.get("/gallery", headers=headers).is_success

    @pytest.mark.parametrize(
        "host", ["[", "[::1", "[evil]:8000", "evil.example:port", "evillocal.example"]
    )
    def test_what_is_no_host_is_no_local_one(self, client: TestClient, host: str) -> None:
        assert_problem(client.get("/gallery", headers={"Host": host}), 403, "foreign-origin")

    @pytest.mark.parametrize(
        "host", ["localhost:8000", "[::1]:8000", "tillsight", "192.0.2.7", "kiosk.local:8000"]
    )
    def test_local_names_are_fine(self, client: TestClient, host: str) -> None:
        assert client.get("/gallery", headers={"Host": host}).is_success


def test_every_answer_is_guarded(caller: TestClient) -> None:
    for path in ("/healthz", "/gallery", "/nothing", "/docs"):
        headers = caller.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
    page = caller.get("/").headers
    assert page["content-security-policy"].startswith("default-src 'self'")
    assert "'unsafe" not in page["content-security-policy"]
    assert page["x-content-type-options"] == "nosniff"
    assert "'unsafe-inline'" not in caller.get("/healthz").headers["content-security-policy"]


def test_the_key_file_is_private(locked: Service, tokens: dict[Scope, str]) -> None:
    folder: Path = locked.settings.data_dir
    assert (folder / "keys.json").stat().st_mode & 0o077 == 0
    assert (folder / "service.lock").stat().st_mode & 0o077 == 0


def test_a_new_data_folder_is_for_its_owner_and_an_old_one_stays_as_it_is(tmp_path: Path) -> None:
    DataFolder(tmp_path / "new").close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    create_key(tmp_path / "keys first" / "keys.json", "till-1", [Scope.RECOGNIZE])
    assert stat.S_IMODE((tmp_path / "keys first").stat().st_mode) == 0o700
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o750)
    DataFolder(tmp_path / "shared").close()
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o750
