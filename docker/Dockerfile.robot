# The robot's computer: actor, recorder, doctor, stores; with EXTRAS=sim the stand-in. Never JAX.
#   docker build -f docker/Dockerfile.robot -t rlpd-robot:robot .
ARG BASE=debian:bookworm-slim
FROM ${BASE}

# PACKAGES: Debian's, for what an extra leans on; libosmesa6 draws the stand-in, libhidapi-hidraw0 reads a SpaceMouse.
ARG PACKAGES=""
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv ${PACKAGES} \
 && apt-get clean && rm -rf /var/lib/apt/lists/*

# Everything that the code leans on, in the project's versions: an empty package stands in the code's place, so that
# this layer stays when only the code has changed.
WORKDIR /opt/rlpd-robot/source
COPY pyproject.toml constraints.txt ./
ARG EXTRAS=""
RUN mkdir rlpd_robot && touch README.md rlpd_robot/__init__.py \
 && python3 -m venv /opt/rlpd-robot/venv \
 && /opt/rlpd-robot/venv/bin/pip install --no-cache-dir --constraint constraints.txt "setuptools>=77" ".${EXTRAS:+[${EXTRAS}]}"

# Who runs it: give the ids of the person on the workstation, whose files it writes.
ARG UID=1000
ARG GID=1000
RUN groupadd --non-unique --gid ${GID} robot \
 && useradd --non-unique --uid ${UID} --gid ${GID} --create-home robot \
 && install --directory --owner=robot --group=robot /data/runs /data/cache
COPY --chown=${UID}:${GID} demos /data/demos

# The code, last: seconds.
COPY README.md LICENSE ./
COPY rlpd_robot rlpd_robot
COPY sim sim
COPY robot_configs robot_configs
RUN /opt/rlpd-robot/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --force-reinstall . \
 && rm -rf build *.egg-info

ENV PATH=/opt/rlpd-robot/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /data
USER ${UID}:${GID}
ENTRYPOINT ["rlpd-robot"]
CMD ["--help"]
