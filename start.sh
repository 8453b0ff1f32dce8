#!/bin/sh
# Starts the runner in the build's image. What the image lacks ends the build with an outcome, like anything else that
# stops a build: the build's last phase reads result.env.
#
# Needs only a POSIX shell. The runner's Python may be the image's, if the wheels in python/ fit it, or the one that the
# source brings. Either way, PATH stays the image's, so that setup, agent and tests get its Python.
set -u

source_dir=${CODEBUILD_SRC_DIR:?}
oldest_git="2.38"

unsuitable() {
  # No text from outside gets here except the image's name, of which only harmless characters are kept.
  image=$(printf '%s' "${CODEBUILD_BUILD_IMAGE:-}" | tr -cd 'A-Za-z0-9._/:@-')
  # An image that is not the installation's own was chosen by the settings of the repository.
  owner=installation
  if [ -n "${BUILD_IMAGE:-}" ] && [ -n "$image" ] && [ "$image" != "$BUILD_IMAGE" ]; then owner=repository; fi
  echo "The image ${image:-of this build} $1. How to fix: $2" >&2
  {
    echo "export OUTCOME='WorkerFailed'"
    echo "export OUTCOME_ERROR='BuildImageUnsuitable'"
    echo "export OUTCOME_OWNER='$owner'"
    echo "export OUTCOME_REASON='the image ${image:-of this build} $1. How to fix: $2'"
  } >"$source_dir/result.env"
  exit 1
}

# ------------------------------------------------------------------------------------------------ git
if ! command -v git >/dev/null 2>&1; then
  unsuitable "has no git" "install git $oldest_git or newer in it"
fi
version=$(git --version 2>/dev/null | sed -n 's/^git version \([0-9][0-9]*\)\.\([0-9][0-9]*\).*/\1 \2/p')
# shellcheck disable=SC2086  # two numbers
set -- $version
if [ $# -ne 2 ] || [ "$1" -lt "${oldest_git%.*}" ] ||
  { [ "$1" -eq "${oldest_git%.*}" ] && [ "$2" -lt "${oldest_git#*.}" ]; }; then
  unsuitable "has git ${1:-?}.${2:-?}, which is too old" "install git $oldest_git or newer in it"
fi

# --------------------------------------------------------------------------------------------- Docker
# Only in a privileged project. Whoever reaches the daemon is root on this machine, and setup, agent and tests do:
# docs/how-to/build-machine.md says what that gives up. A missing daemon is left to the command that needs it.
if [ "${BUILD_PRIVILEGED:-}" = true ]; then
  socket=${DOCKER_SOCKET:-/var/run/docker.sock}
  if [ ! -S "$socket" ] && command -v dockerd >/dev/null 2>&1; then
    dockerd --host="unix://$socket" >"$source_dir/dockerd.log" 2>&1 &
    tries=30
    while [ ! -S "$socket" ] && [ "$tries" -gt 0 ]; do
      sleep 1
      tries=$((tries - 1))
    done
  fi
  if [ -S "$socket" ]; then
    chmod 666 "$socket"
  else
    echo "The project is privileged, but no Docker daemon listens at $socket" >&2
  fi
fi

# --------------------------------------------------------------------------------------------- Python
# CodeBuild's own images keep several Pythons with pyenv, and choose an old one unless they are asked for another.
if [ -n "${PYTHON_313_VERSION:-}" ] && command -v pyenv >/dev/null 2>&1; then
  pyenv global "$PYTHON_313_VERSION" || true
fi

export PYTHONPATH="$source_dir/python"

fits() {
  # The imports fail if the wheels are for another Python, processor or C library.
  "$1" -c 'import sys
if sys.version_info < (3, 11): sys.exit(1)
import pydantic_core, ssl, kiro_worker' >/dev/null 2>&1
}

bundled="$source_dir/bundled-python/bin/python3.13"
if [ -f "$bundled" ]; then
  chmod -R a+rX "$source_dir/bundled-python"
  chmod a+x "$bundled"
fi
for candidate in "$bundled" python3 python3.13 python3.14 python3.12 python3.11 python \
  /usr/local/bin/python3 /usr/bin/python3 /opt/python*/bin/python3 /root/.pyenv/versions/3.1[1-4]*/bin/python3; do
  if command -v "$candidate" >/dev/null 2>&1 && fits "$candidate"; then
    exec "$candidate" -m kiro_worker.runner
  fi
done
if [ -f "$bundled" ]; then
  unsuitable "cannot run the Python that the worker brings" \
    "use an image with glibc 2.17 or newer; images with musl, such as Alpine, cannot run it"
fi
unsuitable "has no Python that the worker can use" \
  "install Python 3.11 to 3.14 in it, or make deploy ARGS=\"--context runnerPython=bundled\"; it needs glibc, not musl"
