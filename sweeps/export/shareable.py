"""Text that may leave this machine: without secrets, without the paths of its folders, and without who lives there."""

import functools
import re
from typing import Any

from search_spaces.secrets import redacted

#: An absolute path, also as a file URI: not a part of a relative one, of a URL or of a metric's name.
_POSIX = re.compile(r"(?<![\w./:~-])(?:file://)?(?:/[^\s/:;,'\"`<>|()\[\]{}*=]+)+/?")
_WINDOWS = re.compile(r"(?<!\w)[A-Za-z]:\\[^\s:;,'\"`<>|()*]+")


@functools.lru_cache(maxsize=65_536)  # thousands of trials say the same; the search for secrets takes a while
def shareable(text: str) -> str:
    """The text with ``***`` for secrets, and of each absolute path its last part: ``/home/ada/runs/x.pt``, ``…/x.pt``.

    Of a path of two parts and less nothing is left: the last one may be somebody's name.
    """
    return _WINDOWS.sub(_last_part, _POSIX.sub(_last_part, redacted(text)))


def shareable_values(value: Any) -> Any:
    """A tree of JSON values, each text in it `shareable`."""
    match value:
        case str():
            return shareable(value)
        case dict():
            return {key: shareable_values(child) for key, child in value.items()}
        case list() | tuple():
            return [shareable_values(child) for child in value]
        case _:
            return value


def _last_part(path: re.Match[str]) -> str:
    parts = [part for part in re.split(r"[/\\]", path[0].removeprefix("file://")) if part]
    return f"…/{parts[-1]}" if len(parts) > 2 else "…"
