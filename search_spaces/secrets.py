"""Secrets: what looks like one is refused in a sweep file, and left out of whatever is shown or stored.

No value of a sweep file may be secret: the file and its overrides are stored whole, in the ledger and in MLflow, and
nothing in them is expanded from the environment. What a sweep needs to log in somewhere stays in environment variables,
which are never stored: ``MLFLOW_TRACKING_URI`` (or ``MLFLOW_TRACKING_USERNAME``, ``_PASSWORD``, ``_TOKEN``), ``AWS_*``.

A secret is known by the shape of its value, not by the name beside it: ``max_tokens: 512`` is none. Besides, the values
that this process was given in variables such as ``AWS_SECRET_ACCESS_KEY`` or ``RAY_AUTH_TOKEN`` are known one by one.
"""

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

HIDDEN = "***"

_NAMES = "password|passwd|token|secret|signature|sig|api_?key"
_PASSWORD = r"(?<=:/)(/?[^/:@\s]*:)(?!\d+/|\$\{|\*\*\*@)(\S+)(?=@)"  # to the last @: a password may hold one

#: What each kind of secret looks like. A first group, if there is one, may be shown.
_SHAPES = {
    kind: re.compile(shape)
    for kind, shape in {
        "a private key": r"()-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----(?:[\s\S]*?-----END[^-]*-----|[\s\S]*)",
        "a password in a URI": _PASSWORD,
        "a credential in a URI": rf"(?i)([?&][\w-]*(?:{_NAMES})=)(?!\*\*\*)[^&\s#\"']+",
        "an access key of AWS": r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        "a secret key of AWS": r"(?i)(aws\w{0,20}[\"']?\s*[:=]\s*[\"']?)[a-z0-9/+]{40}\b",
        "a token of GitHub": r"()\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})",
        "a token of GitLab": r"()\bglpat-[\w-]{20,}",
        "a token of Hugging Face": r"()\bhf_[A-Za-z0-9]{20,}",
        "a token of Slack": r"()\bxox[abeprs]-[A-Za-z0-9-]{10,}",
        "an API key (sk-...)": r"()\b(?<![\w-])sk-(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{20,}",
        "an API key of Google": r"()\bAIza[\w-]{35}",
        "a token of Databricks": r"()\bdapi[0-9a-f]{32}\b",
        "a JSON web token": r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
        "a bearer token": r"(?i)(\bbearer\s+)(?=[^\s\"']*\d)[\w.~+/=-]{16,}",
    }.items()
}

_SECRET_VARIABLE = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|KEY)$")
_SHORTEST = 8  # a shorter value of a variable may be a word


def secrets_in(text: str) -> list[tuple[int, str]]:
    """The line (from 1) and the kind of everything in `text` that looks like a secret; never the secret itself."""
    found = {(match.start(), kind) for kind, shape in _SHAPES.items() for match in shape.finditer(text)}
    found |= {(text.index(value), f"the value of {name}") for name, value in _variables(os.environ) if value in text}
    by_line = dict.fromkeys((text.count("\n", 0, start) + 1, kind) for start, kind in sorted(found))
    return list(by_line)


def redacted(text: str) -> str:
    """The text with ``***`` in place of everything that looks like a secret."""
    for _, value in _variables(os.environ):
        text = text.replace(value, HIDDEN)
    for shape in _SHAPES.values():
        text = shape.sub(rf"\g<1>{HIDDEN}", text)
    return text


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The secrets of the environment, by the name of their variable; passwords of URIs also as a server sees them."""
    for name, value in environment.items():
        if _SECRET_VARIABLE.search(name):
            held = {value}
        else:
            held = {form for match in re.finditer(_PASSWORD, value) for form in (match[2], unquote(match[2]))}
        yield from ((name, secret) for secret in sorted(held) if len(secret) >= _SHORTEST)
