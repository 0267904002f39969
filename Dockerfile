# The image of pds-bids: weights and template inside, no network at run time, any user, read-only root.
#   docker build --build-arg VERSION=0.1.0 -t pds-bids:0.1.0 .
# docs/containers.rst: GPU, another base image, what is in it and how large that is.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Which build of torch: the CPU's index by default, .../whl/cu126 for NVIDIA GPUs, empty for PyPI's own.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/pds-bids/bin:${PATH}
RUN python -m venv /opt/pds-bids
WORKDIR /src
# Dependencies have a layer of their own, which a change of our code leaves as it is.
COPY setup.cfg ./
RUN python -c "import configparser as c; p = c.ConfigParser(); p.read('setup.cfg'); \
        print(p['options']['install_requires'], p['options.extras_require']['hpc'])" > requirements.txt \
    && pip install -r requirements.txt
COPY . ./
RUN pip install --no-deps . \
    && cd "$(python -c "import sysconfig; print(sysconfig.get_path('purelib'))")" \
    && sha256sum --check --strict /src/baked.sha256 \
    # What no run needs: the tests of other packages, headers, torch's tools, pip.
    && rm -r torch/include torch/test torch/bin/protoc* torch/bin/*test* pip pip-* \
    && find . -type d -name tests -not -path './torch/*' -prune -exec rm -r {} +

FROM ${BASE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="pds-bids" \
      org.opencontainers.image.description="BIDS App: synthesises the missing one of mean fMRI and mean dMRI" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/pds-bids /opt/pds-bids
# Packages in a user's own ~/.local, which Apptainer mounts, must not replace those of the image.
ENV PATH=/opt/pds-bids/bin:${PATH} \
    PYTHONNOUSERSITE=1 \
    PDS_BIDS_DOCKER_TAG=${VERSION} \
    HOME=/tmp
ENTRYPOINT ["pds-bids"]
