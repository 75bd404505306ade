"""What may leave this machine."""

import pytest

from sweeps.export.shareable import shareable, shareable_values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open /home/ada/data/set/x.pt", "cannot open …/x.pt"),
        ("file:///home/ada/runs/a/b.db is torn", "…/b.db is torn"),
        ("'/Users/ada' is not a folder", "'…' is not a folder"),
        (r"C:\Users\ada\runs\x.pt: torn", "…/x.pt: torn"),
        ("at /tmp, or /root/secret-name", "at …, or …"),
        ("https://example.org/a/b and s3://bucket/key/x", "https://example.org/a/b and s3://bucket/key/x"),
        ("transfer/knn_top1 and test/transfer/knn_top1", "transfer/knn_top1 and test/transfer/knn_top1"),
        ("postgresql://ada:hunter22@db/x", "postgresql://ada:***@db/x"),
        ("1 / 2 and a/b", "1 / 2 and a/b"),
    ],
)
def test_paths_lose_their_folders_and_secrets_are_hidden(text: str, shown: str) -> None:
    assert shareable(text) == shown


def test_every_text_of_a_tree_is_gone_through() -> None:
    tree = {"task": {"root": "/home/ada/data/sets", "sizes": [1, 2]}, "all": ["/home/ada/x/y", None, 0.5]}
    assert shareable_values(tree) == {"task": {"root": "…/sets", "sizes": [1, 2]}, "all": ["…/y", None, 0.5]}
