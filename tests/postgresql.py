"""A PostgreSQL of its own for a test, which listens on a socket in a folder."""

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROGRAMS = [*os.environ.get("PATH", "").split(os.pathsep), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]


def _user() -> str:
    """Who runs the server: it refuses to be run by root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL is not run by root, and there is no user postgres")


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a server's database. Skips the test where there is no PostgreSQL."""
    pytest.importorskip("psycopg", reason="there is no psycopg: pip install 'contrastive-sweeps[postgresql]'")
    initdb, server = (shutil.which(name, path=os.pathsep.join(_PROGRAMS)) for name in ("initdb", "postgres"))
    if initdb is None or server is None:
        pytest.skip("there are no initdb and postgres: apt-get install postgresql")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    shutil.chown(folder, user)
    as_user = {"user": user, "cwd": folder} if os.geteuid() == 0 else {"cwd": folder}
    data = str(folder / "data")
    subprocess.run([initdb, "--auth=trust", "--no-sync", "-D", data], check=True, capture_output=True, **as_user)
    settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([server, "-D", data, *settings], stderr=log, **as_user) as run,
    ):
        try:
            _wait_for(folder / "log")
            yield f"postgresql+psycopg://{user}@/postgres?host={folder}"
        finally:
            run.send_signal(signal.SIGINT)  # at once, whoever is still connected
    shutil.rmtree(folder)


def _wait_for(log: Path) -> None:
    """By what it says: who asks too early is left with a connection that nobody closes."""
    deadline = time.monotonic() + 60
    while "ready to accept connections" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
