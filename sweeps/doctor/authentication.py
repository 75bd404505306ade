"""Whether only this user can use the Ray that a sweep starts."""

import os
import stat
from collections.abc import Iterator

from sweeps.doctor.finding import Finding
from sweeps.slots.authentication import MODE, OTHERS, TOKEN_PATH, token_path


def ray_authentication() -> Iterator[Finding]:
    """Ray's mode of authentication, and the file with its token."""
    mode = os.environ.get(MODE)
    if mode not in (None, "token"):
        fix = f"unset {MODE}: a sweep ignores it, and `ray start` would let everybody in"
        yield Finding("Ray's authentication", "warning", f"{MODE}={mode}", fix)
    else:
        yield Finding("Ray's authentication", "ok", "by token, for every Ray that a sweep starts")
    path = token_path()
    if path is None:
        yield Finding("Ray's token", "ok", "in the environment")
    elif not path.exists():
        yield Finding("Ray's token", "ok", f"none yet; a sweep makes {path} for its user alone")
    else:
        mode_bits = stat.S_IMODE(path.stat().st_mode)
        if path.stat().st_uid != os.getuid():
            fix = f"remove it, or name one of your own in {TOKEN_PATH}"
            yield Finding("Ray's token", "problem", f"{path} is another user's", fix, security=True)
        elif mode_bits & OTHERS:
            found = f"{path} has mode {mode_bits:04o}, so others can read it"
            yield Finding("Ray's token", "problem", found, f"chmod 600 {path}", security=True)
        else:
            yield Finding("Ray's token", "ok", f"{path} is its user's alone")
