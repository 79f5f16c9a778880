# Two commands do all the set-up on a fresh machine: `make run` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3 || echo python3)
PACK ?= embedded
BIN := .venv/bin

.PHONY: run install test lint audit debian image-check lock clean

run: install  ## Install what is missing and start the service on 127.0.0.1:8000.
	TILLSIGHT_PACK=$${TILLSIGHT_PACK:-$(PACK)} $(BIN)/tillsight serve

install: .venv/.serve

test: .venv/.dev debian  ## The whole suite, two files at a time: much of it waits for processes that it starts.
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.dev  ## Style, types, import directions, Dockerfile, compose file, Kubernetes manifests.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/compose.cluster.yml
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes.yaml deploy/kubernetes-cluster.yaml

audit: .venv/.dev  ## What the image contains (build/sbom.json, CycloneDX), and known vulnerabilities of it.
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o build/sbom.json 2>build/sbom.log
	@rm -f build/audit.json
	-@$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off --format json --output build/audit.json 2>build/audit.log
	@deploy/audit build/audit.json

debian:  # What tests need beside Python: a browser for the page, a clock that can be set.
	@command -v chromium >/dev/null && command -v faketime >/dev/null || { \
		echo "Installing chromium and faketime for the tests ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium faketime >/dev/null; \
	} || { echo "Install them (Debian: apt-get install chromium faketime) and run again."; exit 1; }

image-check:  ## Build the image and run it, without Docker (root on Debian).
	deploy/image-check

lock:  ## Resolve the dependencies again, for every platform, with hashes.
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --extra milvus --extra openvino --extra otel -c requirements.lock -o requirements-extras.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --all-extras --group dev -c requirements.lock -o requirements-dev.lock

# What a failed venv leaves behind would be taken for a whole one by the next call.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "TillSight needs Python 3.11 or 3.12, and $(PYTHON) is neither."; \
		echo "Name one that is (make run PYTHON=/path/to/python3.12), or use Docker: docker compose up"; \
		exit 1; \
	}
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.serve: .venv/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

.venv/.dev: .venv/.serve requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
