"""Runs in a store: moto's S3 server on loopback, behind a proxy that fails as stores do."""

import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.engines
pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

SAMPLE = str(Path(__file__).parent.parent.parent / "sample_data")
LIMIT = 240  # seconds that a command may take


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def server():
    """A server with one bucket; its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                asked.request("PUT", "/bucket")
                assert asked.getresponse().status == 200
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def faulty(server):
    """A proxy: every 7th put of an object is cut half-way, every listing is late."""
    puts = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def handle_one(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            if self.command == "PUT":
                puts.append(self.path)
                if len(puts) % 7 == 3:  # the store read half of it, then the line went
                    self.close_connection = True
                    return
            if "list-type" in self.path:
                time.sleep(0.3)
            asked = http.client.HTTPConnection("127.0.0.1", server, timeout=30)
            asked.request(self.command, self.path, body, dict(self.headers))
            got = asked.getresponse()
            data = got.read()
            self.send_response(got.status)
            for name, value in got.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = got.getheader("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(length or 0))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield proxy.server_address[1], puts
    proxy.shutdown()


def environment(port, **more):
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    keys = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    url = {"FSSPEC_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    return {**kept, **keys, **url, "AWS_EC2_METADATA_DISABLED": "true", **more}


def forge(env, *arguments):
    command = [sys.executable, "-m", "corpusforge", *arguments, "--quiet"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT)


def content(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.split("content ")[-1].strip()


TOKENS = ("--algo", "bpe", "--vocab-size", "1000")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The digests of clean and tokenize on the local disk."""
    folder, env = tmp_path_factory.mktemp("local"), dict(os.environ)
    clean = content(forge(env, "clean", SAMPLE, "-o", f"{folder}/run"))
    return clean, content(forge(env, "tokenize", f"{folder}/run", "-o", f"{folder}/tok", *TOKENS))


def test_a_store_gives_the_digest_of_a_disk_even_when_puts_fail(local, faulty):
    """Clean, tokenize and verify through the faulty proxy."""
    port, puts = faulty
    env = environment(port)
    assert content(forge(env, "clean", SAMPLE, "-o", "s3://bucket/run")) == local[0]
    tokens = forge(env, "tokenize", "s3://bucket/run", "-o", "s3://bucket/tok", *TOKENS)
    assert content(tokens) == local[1]
    assert len(puts) > 14  # at least two were cut
    for run in ("run", "tok"):
        checked = forge(env, "verify", f"s3://bucket/{run}")
        assert checked.returncode == 0, checked.stderr


def test_a_killed_run_in_a_store_goes_on(local, server):
    """kill -9 while it works; the same command ends with the same digest."""
    env = environment(server)
    command = [sys.executable, "-m", "corpusforge", "clean", SAMPLE, "-o", "s3://bucket/killed"]
    for seconds in (4.0, 5.5):
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        process.kill()
        process.wait()
    assert content(forge(env, "clean", SAMPLE, "-o", "s3://bucket/killed")) == local[0]


@pytest.mark.parametrize(
    ("root", "more", "match"),
    [
        ("s3://nowhere/run", {}, "there is no bucket nowhere"),
        ("s3://bucket/x", {"AWS_ACCESS_KEY_ID": ""}, "no credentials"),
        (
            "s3://bucket/x",
            {"FSSPEC_S3_ENDPOINT_URL": "http://127.0.0.1:9"},
            "FSSPEC_S3_ENDPOINT_URL",
        ),
    ],
)
def test_what_a_store_refuses_is_one_line(server, root, more, match):
    """The path, what is wrong, what to do; exit code 3."""
    done = forge(environment(server, **more), "clean", SAMPLE, "-o", root)
    assert done.returncode == 3
    assert root in done.stderr and match in done.stderr
    assert done.stderr.count("\n") == 1
