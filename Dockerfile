# Not built yet: written where no container runtime is. `tests/test_container.py` checks it with
# hadolint, and runs the workflow from exactly the files that are copied here.
#
#   docker build --tag fgrad .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD":/work fgrad \
#       snakemake --snakefile /opt/fgrad/Snakefile --cores 2 --directory /work
#   apptainer build fgrad.sif docker-daemon://fgrad:latest
#   apptainer exec --nv fgrad.sif snakemake --snakefile /opt/fgrad/Snakefile --cores 2 --directory "$PWD"
#
# Why no nvidia/cuda image: the wheels of torch in requirements.lock bring CUDA, cuDNN and NCCL in the
# versions they were built with (4 GB); a CUDA image would bring them once more, in others, never
# loaded. The driver's own libraries come from the host in either case, see NVIDIA_… below.
FROM python:3.11.14-slim-bookworm

LABEL org.opencontainers.image.title="fgrad" \
      org.opencontainers.image.description="Multi-tangent forward gradients: the paper regenerated" \
      org.opencontainers.image.licenses="MIT"

# git and rsync are called by Snakemake: the one lists the sources that jobs without a shared file
# system get (Kubernetes), the other copies to and from a volume. Debian keeps no older versions of a
# package in its archive, so that a pin here would break the build at the next update of either.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git rsync \
 && rm -rf /var/lib/apt/lists/*

# Caches in /tmp, because the home folder is not writable for a user who is not in /etc/passwd
# (docker run --user, apptainer, Kubernetes); USER, because Snakemake asks for the name of such a user
# too. The NVIDIA container runtime adds driver and devices to images that ask for them; where there
# is none, nothing happens.
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    XDG_CACHE_HOME=/tmp/fgrad-cache \
    MPLCONFIGDIR=/tmp/fgrad-cache/matplotlib \
    MPLBACKEND=Agg \
    USER=fgrad \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# The layer of 6 GB: made anew when a version changes, not with every edit of the code.
WORKDIR /opt/fgrad
COPY requirements.lock ./
RUN pip install --no-cache-dir --requirement requirements.lock

# Plugins, at what the lock file has of what they need. A job on Kubernetes installs the plugin of the
# storage before it starts: it finds the same one here, and needs no registry.
# hadolint ignore=DL3059
RUN pip wheel --no-cache-dir --constraint requirements.lock --wheel-dir /opt/wheels \
    snakemake-executor-plugin-kubernetes==0.5.1 \
    snakemake-storage-plugin-fs==1.1.3 \
 && pip install --no-cache-dir --no-index --find-links /opt/wheels \
    snakemake-executor-plugin-kubernetes==0.5.1 \
    snakemake-storage-plugin-fs==1.1.3

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --no-deps . \
 && rm -rf build

# What Snakemake reads, in an own layer after the package; tables and profiles change most often.
COPY Snakefile ./
COPY rules ./rules
COPY workflow ./workflow
COPY profiles ./profiles
COPY config ./config

# Readable by any user, whatever the umask of the checkout was; /work writable by any, as nobody knows
# who comes.
RUN chmod -R a+rX /opt/fgrad /opt/wheels \
 && useradd --uid 1000 --create-home fgrad \
 && mkdir -m 1777 /work

ENV PIP_NO_INDEX=1 \
    PIP_FIND_LINKS=/opt/wheels
USER 1000
WORKDIR /work

# No ENTRYPOINT: `snakemake`, `fgrad` and `python` are commands like any other.
CMD ["fgrad", "--help"]
