# Two stages: the build tools stay behind. BASE: Python 3.11 on Debian, the official image of
# 2026-08-25 by its digest (of the index, so for every platform).
ARG BASE=python:3.11.16-slim-bookworm@sha256:0bee7276f83efd4a1ee05bbbf4281d95ed28e079220a9457f25a93e3f1e3c31b
# The model pack that serves by default: embedded, or an official one, which the build fetches. One
# that was trained for a shop goes into the data folder instead (docs/operations.md).
ARG PACK=embedded

FROM ${BASE} AS build
WORKDIR /opt/tillsight
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
# pip works from outside, so that none is left in what is delivered.
RUN python3 -m venv /opt/pip \
    && python3 -m venv --without-pip .venv
# requirements-extras.lock: with OpenVINO, Milvus and traces (docs/performance.md, docs/cluster.md).
ARG LOCK=requirements.lock
COPY ${LOCK} ./
# Never used here: Paddle's C++ headers, and its OpenVINO engine, which is loaded on demand only.
RUN /opt/pip/bin/pip --python .venv/bin/python install --require-hashes -r ${LOCK} \
    && rm -r .venv/lib/python3*/site-packages/paddle/include \
        .venv/lib/python3*/site-packages/paddle/libs/libopenvino_intel_cpu_plugin.so
COPY pyproject.toml MANIFEST.in README.md LICENSE ./
COPY app app
COPY gallery gallery
COPY models models
COPY tillsight tillsight
# Beside the dependencies, not among them: a new version is a small layer over an unchanged large one.
RUN /opt/pip/bin/pip --python .venv/bin/python install --no-deps --target service .

FROM ${BASE}
# libgomp1: Paddle's OpenMP. The base decides its version: Debian removes older ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# A number, so that an orchestrator can see that it is not root.
ARG UID=10001
RUN useradd --uid ${UID} --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tillsight \
    && install -d -o ${UID} -g ${UID} /data
COPY --from=build /opt/tillsight/.venv /opt/tillsight/.venv
COPY --from=build /opt/tillsight/service /opt/tillsight/service
ARG PACK
ENV PATH=/opt/tillsight/service/bin:/opt/tillsight/.venv/bin:$PATH \
    PYTHONPATH=/opt/tillsight/service \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TILLSIGHT_HOST=0.0.0.0 \
    TILLSIGHT_PORT=8000 \
    TILLSIGHT_DATA_DIR=/data \
    TILLSIGHT_PACK=${PACK}
# Here, because it runs both networks of a pack to check it, and they need OpenMP.
RUN if [ "${PACK}" != embedded ]; then \
        TILLSIGHT_DATA_DIR=/tmp tillsight models fetch "${PACK}" \
        && mv "/tmp/packs/${PACK}" /opt/tillsight/service/models/packs/; \
    fi
USER ${UID}
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"TILLSIGHT_PORT\"]}/readyz', timeout=4)"]
CMD ["tillsight", "serve"]
