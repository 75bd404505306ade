"""A headless Chromium that is at hand, and a server of ours for it: what both tell, and where they go."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium at hand: apt-get install chromium")

#: Software rendering: a test machine has no graphics card.
_ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


class Watched:
    """Pages, what their consoles said, and every request that they made."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.complaints: list[str] = []
        self.requests: list[str] = []
        context.on("page", self._watch)
        context.on("request", lambda request: self.requests.append(request.url))
        context.set_default_timeout(60_000)

    def _watch(self, page: Page) -> None:
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def beyond(self) -> list[str]:
        """Requests that left this machine."""
        hosts = {url: urlsplit(url) for url in self.requests}
        return [
            url
            for url, parts in hosts.items()
            if parts.scheme not in ("file", "data", "blob") and parts.hostname != "127.0.0.1"
        ]

    def faults(self, page: Page) -> list[str]:
        """What axe-core finds that keeps somebody from using the page."""
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {node['html'][:160]}"
            for each in found
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"][:3]
        ]


@contextmanager
def browser(**settings: Any) -> Iterator[Watched]:
    """A fresh context of a new Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"], **settings)
        try:
            yield Watched(context)
        finally:
            chromium.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(port: int, *command: str, health: str = "/") -> Iterator[str]:
    """A program of the checkout that answers on a port of this machine, until the end of the block."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, cwd=Path(__file__).parents[2], **quiet
    )
    try:
        for _ in range(1200):
            try:
                urlopen(f"http://127.0.0.1:{port}{health}", timeout=2)
                break
            except HTTPError:
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
