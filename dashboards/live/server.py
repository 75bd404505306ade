"""The live page's server: on loopback, for reading only.

It answers to loopback names alone (a page elsewhere could otherwise reach it by a name of its own, DNS rebinding), to
GET and HEAD alone, and lets no page show it in a frame. Its page runs no script but its own files and loads nothing
from elsewhere; what comes from a sweep reaches it as JSON, and is shown as text.
"""

import json
import socket
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.live.sweeps import MlflowSweeps, StorageSweeps, described
from sweeps.export.shareable import shareable
from sweeps.export.tables import SweepTables
from sweeps.ids import check_id
from sweeps.ledger.errors import LedgerError, LedgerMissing
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.tracking.browsing import Browsing

HOST = "127.0.0.1"

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

_DASHBOARDS = Path(str(files("dashboards")))
_STATIC = _DASHBOARDS / "live" / "static"


def serve(storage: Results, port: int, mlflow: str) -> None:
    """Serve the page on 127.0.0.1 until SIGINT or SIGTERM. Raises `Refusal` if the port is taken."""
    try:
        held = socket.create_server((HOST, port))
    except OSError as error:
        raise Refusal(f"port {port} on {HOST} must be free, but: {error}. Give another --port") from error
    with held:
        config = uvicorn.Config(application(storage, mlflow), log_level="warning", server_header=False)
        uvicorn.Server(config).run([held])


def application(storage: Results, mlflow: str, clock: Callable[[], float] = time.monotonic) -> Starlette:
    """The page over a storage folder; `mlflow` is where MLflow's own pages are served."""
    pages = _Pages(StorageSweeps(storage, clock), MlflowSweeps(lambda: Browsing(storage)), mlflow.rstrip("/"))
    return Starlette(
        routes=[
            Route("/", lambda _: FileResponse(_STATIC / "index.html"), methods=["GET"]),
            Route("/api/sweeps", pages.sweeps, methods=["GET"]),
            Route("/api/mlflow", pages.in_mlflow, methods=["GET"]),
            Route("/api/sweeps/{sweep}", pages.sweep, methods=["GET"]),
            Route("/mlflow/{sweep}/{trial:int}", pages.run, methods=["GET"]),
            Route("/theme.css", lambda _: FileResponse(_DASHBOARDS / "theme.css"), methods=["GET"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False),
            Middleware(_Guarded),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=1),
        ],
        exception_handlers={Refusal: _refused, LedgerError: _refused},
    )


class _Guarded:
    """Every answer carries what tells a browser how little this page may do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in _HEADERS.items()),
                ]
            await send(message)

        await self._app(scope, receive, guarded)


class _Pages:
    """What the page asks for."""

    def __init__(self, local: StorageSweeps, remote: MlflowSweeps, mlflow: str) -> None:
        self._local, self._remote, self._mlflow = local, remote, mlflow

    async def sweeps(self, _: Request) -> Response:
        """Ids of the sweeps in storage."""
        return JSONResponse(await run_in_threadpool(self._local.ids), headers={"cache-control": "no-store"})

    async def in_mlflow(self, _: Request) -> Response:
        """Ids of the sweeps in MLflow."""
        found = await run_in_threadpool(lambda: self._remote.known().sweeps())
        return JSONResponse(found, headers={"cache-control": "no-store"})

    async def sweep(self, request: Request) -> Response:
        """One sweep; 304 while it is as the browser has it."""
        tables = await run_in_threadpool(self._tables, request.path_params["sweep"])
        mark = f'"{tables.about.uid}-{tables.about.seq}-{tables.about.state.replace(" ", "")}"'
        headers = {"etag": mark, "cache-control": "no-cache"}
        if mark in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        body = await run_in_threadpool(lambda: json.dumps(described(tables), separators=(",", ":"), allow_nan=False))
        return Response(body, media_type="application/json", headers=headers)

    async def run(self, request: Request) -> Response:
        """To the run of a trial in MLflow's own pages."""
        sweep, trial = request.path_params["sweep"], request.path_params["trial"]
        tables = await run_in_threadpool(self._tables, sweep)
        if not await run_in_threadpool(_answers, self._mlflow):
            raise Refusal(
                f"MLflow's pages must be served at {self._mlflow}, and nothing answers there. Start them: "
                "python -m sweeps ui"
            )
        page = await run_in_threadpool(lambda: self._remote.known().page(tables.about.uid, trial))
        if page is None:
            raise Refusal(
                f"MLflow has no run of trial {trial} of '{sweep}' yet. Bring it there: python -m sweeps sync "
                f"{sweep}{tables.about.storage_flag}"
            )
        return RedirectResponse(f"{self._mlflow}/{page}", status_code=303)

    def _tables(self, sweep: str) -> SweepTables:
        check_id(sweep)
        try:
            return self._local.tables(sweep)
        except LedgerMissing:
            return self._remote.tables(sweep)


async def _refused(_: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, LedgerMissing | Refusal) else 500
    return PlainTextResponse(shareable(str(error)), status_code=status)


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    try:
        socket.create_connection(
            (parts.hostname or HOST, parts.port or (443 if parts.scheme == "https" else 80)), 2
        ).close()
    except OSError:
        return False
    return True
