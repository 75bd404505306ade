"""An object store of our own, on this machine: moto's server, which speaks S3."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer


@contextmanager
def object_store(bucket: str = "data") -> Iterator[str]:
    """The URI of an empty bucket, with the address of its server; credentials are in the environment meanwhile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    credentials = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in credentials}
    os.environ |= credentials
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # before it chooses a level itself
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{port}").create_bucket(
            Bucket=bucket
        )
        yield f"s3://{bucket}?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    finally:
        server.stop()
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
