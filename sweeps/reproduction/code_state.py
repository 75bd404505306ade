"""The code that a sweep runs with: kept as a commit and a patch when it opens, and put into a folder to run again."""

import hashlib
import io
import logging
import os
import subprocess
import tarfile
from pathlib import Path

from search_spaces.secrets import secrets_in
from sweeps.events import Opened
from sweeps.provenance import PACKAGES, ROOT, code_digest, patch
from sweeps.refusals import Refusal, Unsafe
from trainables.storage import Storage

_LOG = logging.getLogger(__name__)


def keep_patch(sweep: Storage) -> str | None:
    """Store what the code has over its commit in the sweep's folder; its SHA-256, or None if there is nothing.

    Nor is a patch kept in which something looks like a secret: results are shared.
    """
    content = patch()
    if not content:
        return None
    if found := secrets_in(content.decode(errors="replace")):
        _LOG.warning(
            "the code's changes are not kept, and its trials are reproduced with these changes only: line %d of the "
            "patch looks like %s. Take it out of the code, or commit it elsewhere",
            *found[0],
        )
        return None
    digest = hashlib.sha256(content).hexdigest()
    sweep.write(_name(digest), content)
    return digest


def recorded_code(opened: Opened, sweep: Storage, into: Path) -> Path:
    """The folder of a checkout with the code that a session ran with: this one, or if it differs one made in `into`.

    Raises `Refusal` if that code cannot be had any more, and `Unsafe` if what is stored of it was changed.
    """
    if opened.code_digest == code_digest():
        return ROOT
    commit = opened.environment.get("git_commit", "")
    into.mkdir(parents=True)
    _extract(commit, into)
    if opened.patch:
        _apply(_read(sweep, opened.patch), into)
    if (found := code_digest(into)) != opened.code_digest:
        raise Refusal(
            f"a trial is reproduced with its own code, digest {opened.code_digest}, and commit {commit} with the "
            f"stored patch has {found}: changes were not kept. Restore them, or give --current-code to try today's code"
        )
    return into


def _extract(commit: str, into: Path) -> None:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "--", *PACKAGES], capture_output=True, check=False
    )
    if not commit or done.returncode:
        said = done.stderr.decode(errors="replace").strip() or "no commit was recorded"
        raise Refusal(
            f"a trial is reproduced with its own code, and commit '{commit}' cannot be had here: {said}. Run "
            "this in a clone that has it, or give --current-code to try with today's code"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(into, filter="data")


def _read(sweep: Storage, digest: str) -> bytes:
    try:
        content = sweep.read(_name(digest))
    except FileNotFoundError as error:
        raise Refusal(f"the sweep's code had changes, and {sweep.uri}/{_name(digest)} is gone. Restore it") from error
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise Unsafe(
            f"{sweep.uri}/{_name(digest)} must have the SHA-256 of its name, and has {found}: it was changed, and is "
            "not applied. Restore it"
        )
    return content


def _apply(content: bytes, into: Path) -> None:
    # git looks for no repository around the folder, of which it would take the patch to speak
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(into.resolve().parent)}
    command = ["git", "-C", str(into), "apply", "--whitespace=nowarn"]
    done = subprocess.run(command, input=content, capture_output=True, check=False, env=environment)
    if done.returncode:
        raise Refusal(f"the stored patch does not fit its commit: {done.stderr.decode(errors='replace').strip()}")


def _name(digest: str) -> str:
    return f"code/{digest}.patch"
