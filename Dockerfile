# The CPU build of torch makes a far smaller image:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu -t pds-bids .
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG PIP_EXTRA_INDEX_URL
COPY . /src
RUN pip install --no-cache-dir /src && rm -r /src
ENTRYPOINT ["pds-bids"]
