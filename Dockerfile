# syntax=docker/dockerfile:1
#
# The sidecar as an image: `docker build -t rejoinder .`
#
# Four stages, so that a changed line of ours compiles our crates and not the 900 behind the vector store:
# `manifests` reduces the workspace to what cargo resolves from; `dependencies` compiles everything that is not ours and
# is cached until a manifest or the lock file changes; `build` compiles ours; the last one holds the program and nothing
# that built it. Builder and runtime are the same Debian release, so that the C library fits.

ARG RUST_VERSION=1.95
ARG DEBIAN_RELEASE=bookworm

FROM debian:${DEBIAN_RELEASE}-slim AS manifests
WORKDIR /src
COPY . .
# A crate needs one source file to be resolved: its roots stay, emptied, and so do the files that a manifest names.
RUN find . -type f ! -name 'Cargo.toml' ! -name 'Cargo.lock' \
        ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -path './examples/library.rs' ! -path './tests/e2e/main.rs' -delete \
    && echo 'fn main() {}' > /tmp/emptied.rs \
    && find . -name '*.rs' -exec cp /tmp/emptied.rs {} ';' \
    && find . -type d -empty -delete

FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS toolchain
# A C and C++ compiler for SQLite and the cryptography, cmake for the latter, protoc for the store's file format.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make cmake protobuf-compiler libprotobuf-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src

FROM toolchain AS dependencies
COPY --from=manifests /src ./
RUN cargo build --profile dist --locked --package rejoinder-cli

FROM dependencies AS build
COPY . .
# Cargo tells by their times which files changed, and a checkout may be older than the emptied files that were compiled.
RUN find crates ingest models -name '*.rs' -exec touch {} + \
    && cargo build --profile dist --locked --package rejoinder-cli \
    && install -D target/dist/rejoinder /out/usr/local/bin/rejoinder \
    && install -D -m 0644 config/deploy/rejoinder.toml /out/etc/rejoinder/rejoinder.toml \
    && install -D -m 0644 LICENSE /out/usr/share/doc/rejoinder/LICENSE

FROM debian:${DEBIAN_RELEASE}-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rejoinder" \
      org.opencontainers.image.description="An AI sidecar for a CRM: reads a company's mail and drafts the next reply, with citations" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Root certificates, for remote models, identity providers and the model hub; nothing else is linked but the C library.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 rejoinder \
    && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/rejoinder --shell /usr/sbin/nologin rejoinder \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/rejoinder \
    && install -d -o 10001 -g 10001 -m 0755 /models /inbox
COPY --from=build /out/ /

# The number and not the name: Kubernetes can only tell of a number that it is not root.
USER 10001:10001
WORKDIR /var/lib/rejoinder
ENV REJOINDER_CONFIG=/etc/rejoinder/rejoinder.toml \
    REJOINDER_DATA_DIR=/var/lib/rejoinder \
    REJOINDER_MODELS=/models \
    REJOINDER_LOG_JSON=true
# The index, the ledger and the keys; the weights. Nothing else is written to but /tmp: the rest may be read-only.
VOLUME ["/var/lib/rejoinder", "/models"]
EXPOSE 7788
# The program asks itself, since there is no curl in here. The first start loads weights: that is not ill health.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["rejoinder", "health"]
# It is process 1 itself and takes SIGTERM by draining, so no init stands in front of it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["rejoinder"]
CMD ["serve"]
