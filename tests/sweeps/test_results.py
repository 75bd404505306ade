"""Where results are: a folder, an object store, and ledgers in PostgreSQL beside either."""

import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from search_spaces.secrets import redacted
from sweeps.ledger.errors import LedgerExists, LedgerMissing, LedgerUnreachable
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import LEDGERS, Results
from tests.sweeps import stories

BUCKET = "s3://bucket/results"


@pytest.fixture
def database(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database for ledgers alone, named in the environment."""
    name = f"ledgers_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    url = server.replace("/postgres?", f"/{name}?")
    monkeypatch.setenv(LEDGERS, url)
    return url


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("uri", ["results", BUCKET])
def test_each_sweep_has_a_ledger_of_its_own_in_the_database(uri: str) -> None:
    results = Results(uri)
    with pytest.raises(Refusal, match="there is no sweep in the database of SWEEPS_LEDGER"):
        results.newest()
    for sweep in ("first-2026", "second"):
        Ledger.create(results.ledger(sweep), sweep, {"goals": {}}).close()
    with pytest.raises(LedgerExists, match="Resume it"):
        Ledger.create(results.ledger("second"), "second", {})
    with pytest.raises(LedgerMissing, match="Check the sweep's id"):
        Ledger.open(results.ledger("third"))
    with Ledger.open(results.ledger("first-2026")) as first, Ledger.open(results.ledger("second")) as second:
        assert (first.sweep, second.sweep) == ("first-2026", "second")
        assert first.claim() == second.claim() == 1, "each has a lock of its own"
        first.append(stories.opened(1))
        assert (first.count(), second.count()) == (1, 0)
    assert results.newest() == "first-2026"
    assert results.existing(None) == "first-2026"


def test_a_folder_holds_its_ledgers_and_an_object_store_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEDGERS, raising=False)
    assert Results(str(tmp_path)).ledger("a") == tmp_path / "a"
    with pytest.raises(Refusal, match="Name a database in SWEEPS_LEDGER"):
        Results(BUCKET).ledger("a")


@pytest.mark.parametrize("given", ["sqlite:///x.db", "nonsense", "mysql://user:secret@host/db"])
def test_what_is_no_postgresql_is_refused_without_its_password(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGERS, given)
    with pytest.raises(Refusal, match="ledgers are kept in PostgreSQL") as refused:
        Results(BUCKET).ledger("a")
    assert "secret" not in str(refused.value)


def test_the_password_of_a_ledger_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGERS, "postgresql://user:c4nary@127.0.0.1:9/db")
    location = Results(BUCKET).ledger("a")
    assert "c4nary" in str(location), "the driver needs it"
    with pytest.raises(LedgerUnreachable, match="See that PostgreSQL runs") as refused:  # no damage: nothing to restore
        Ledger.open(location)
    assert "c4nary" not in redacted(str(refused.value))


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("s3://key:secret@bucket/x", "a storage URI holds no credentials"),
        ("ftp://host/x", "storage off this machine is a URI of s3"),
        ("s3:/bucket/x", "storage off this machine is a URI of s3"),
        ("s3://", "with a bucket or host"),
    ],
)
def test_a_uri_that_is_no_storage_is_refused(uri: str, rule: str) -> None:
    with pytest.raises(Refusal, match=rule) as refused:
        Results(uri).check()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "here", "elsewhere"),
    [
        ("results", "", ""),
        (BUCKET, f" --storage {BUCKET}", f" --storage {BUCKET}"),
        ("../swept", " --storage ../swept", " --storage STORAGE"),
        ("my results", " --storage 'my results'", " --storage 'my results'"),
        ("/home/ada/results", " --storage /home/ada/results", " --storage STORAGE"),
        ("//home/ada", " --storage //home/ada", " --storage STORAGE"),
        ("runs of /home/ada", " --storage 'runs of /home/ada'", " --storage STORAGE"),
        (r"C:\Users\ada", r" --storage 'C:\Users\ada'", " --storage STORAGE"),
        ("hf_" + "x" * 20, " --storage hf_" + "x" * 20, " --storage STORAGE"),
    ],
)
def test_a_command_names_its_storage_and_others_are_told_no_path(uri: str, here: str, elsewhere: str) -> None:
    assert Results(uri).flag == here
    assert Results(uri).shareable_flag == elsewhere


def test_paths_are_the_same_from_every_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Results("results").folder("a") == str(tmp_path / "results" / "a")
    assert Results(f"{BUCKET}/").folder("a") == f"{BUCKET}/a"
    with pytest.raises(Refusal, match="needs a folder of this machine"):
        _ = Results(BUCKET).path
