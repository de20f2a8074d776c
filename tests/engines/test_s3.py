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

from corpusforge.lease import EXPIRY

pytestmark = pytest.mark.engines
s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

SAMPLE = str(Path(__file__).parent.parent.parent / "sample_data")
LIMIT = 400  # seconds that a command may take


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


class Faults:
    """What a proxy spoils of the requests it sees."""

    def __init__(self, *, cut=0, burst=0, late=0.0, stale=False):
        self.cut, self.burst, self.late, self.stale = cut, burst, late, stale
        self.count = {"cut": 0, "burst": 0, "late": 0, "stale": 0}
        self._seen, self._puts, self._old = 0, 0, set()
        self._lock = threading.Lock()

    def of(self, command, path):
        """Return the fault of one request: '', cut, burst, late or stale."""
        with self._lock:
            found = self._of(command, path)
            if found:
                self.count[found] += 1
            return found

    def _of(self, command, path):
        self._seen += 1
        self._puts += command == "PUT"
        if self.cut and command == "PUT" and self._puts % self.cut == 3:
            return "cut"
        if self.burst and self._seen % self.burst < 5:  # five requests in a row
            return "burst"
        if self.late and "list-type" in path:
            return "late"
        if self.stale and command == "GET" and ".commit.json" in path and path not in self._old:
            self._old.add(path)
            return "stale"
        return ""


@pytest.fixture
def proxy(server):
    """Start a proxy before the server with given faults; returns its port."""
    started = []

    def start(faults):
        class Proxy(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                size = int(self.headers.get("Content-Length") or 0)
                fault = faults.of(self.command, self.path)
                if fault == "cut":  # the store read half of it, then the line went
                    self.rfile.read(size // 2)
                    self.close_connection = True
                    return
                body = self.rfile.read(size)
                if fault in ("burst", "stale"):
                    answer(self, *((503, b"SlowDown") if fault == "burst" else (404, b"NoSuchKey")))
                    return
                if fault == "late":
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

        started.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return started[-1].server_address[1]

    yield start
    for one in started:
        one.shutdown()


def answer(request, status, code):
    body = b"<Error><Code>" + code + b"</Code><Message>x</Message></Error>"
    request.send_response(status)
    request.send_header("Content-Type", "application/xml")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body if request.command != "HEAD" else b"")


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


def store(port):
    url = f"http://127.0.0.1:{port}"
    return s3fs.S3FileSystem(key="a", secret="b", endpoint_url=url, use_listings_cache=False)


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


def test_a_store_gives_the_digest_of_a_disk_even_when_it_fails(local, proxy):
    """Clean, tokenize, verify: puts are cut half-way, 503 comes in bursts, lists are late."""
    faults = Faults(cut=7, burst=97, late=0.3)
    env = environment(proxy(faults))
    assert content(forge(env, "clean", SAMPLE, "-o", "s3://bucket/run")) == local[0]
    tokens = forge(env, "tokenize", "s3://bucket/run", "-o", "s3://bucket/tok", *TOKENS)
    assert content(tokens) == local[1]
    assert min(faults.count[name] for name in ("cut", "burst", "late")) >= 3, faults.count
    for run in ("run", "tok"):
        checked = forge(env, "verify", f"s3://bucket/{run}")
        assert checked.returncode == 0, checked.stderr


def test_a_store_that_answers_with_the_past(local, proxy):
    """A commit is not seen at its first reading: one line says so, or nothing; the digest holds."""
    faults = Faults(stale=True)
    env = environment(proxy(faults))
    for _ in range(8):
        done = forge(env, "clean", SAMPLE, "-o", "s3://bucket/stale")
        if done.returncode == 0:
            break
        assert done.returncode == 3 and done.stderr.count("\n") == 1, done.stderr
        assert "run again to go on" in done.stderr
    assert content(done) == local[0]
    assert faults.count["stale"] >= 3, faults.count


def test_a_killed_run_in_a_store_goes_on(local, server):
    """Kill -9 while it works: refused while its lease lasts, then the same digest."""
    env, root = environment(server), "s3://bucket/killed"
    command = [sys.executable, "-m", "corpusforge", "clean", SAMPLE, "-o", root]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    fs = store(server)
    until = time.monotonic() + LIMIT
    while not fs.find("bucket/killed/commits") and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    refused = forge(env, "clean", SAMPLE, "-o", root)
    assert refused.returncode == 3 and "works here" in refused.stderr
    time.sleep(EXPIRY)
    assert content(forge(env, "clean", SAMPLE, "-o", root)) == local[0]


def test_parts_in_a_store_of_which_one_dies(local, server):
    """Four processes that share nothing but the store; one is killed and started again."""
    env, root = environment(server), "s3://bucket/parts"
    given = ["clean", SAMPLE, "-o", root, "--set", "plan.unit_bytes=131072"]

    def start(number):
        command = [sys.executable, "-m", "corpusforge", *given, "--part", f"{number}/4"]
        return subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    parts = [start(number) for number in range(4)]
    until = time.monotonic() + LIMIT
    while not store(server).find("bucket/parts/commits") and time.monotonic() < until:
        time.sleep(0.05)
    parts[2].kill()
    parts[2].communicate()
    lost = forge(env, *given, "--finish")
    assert lost.returncode == 3 and "works here" in lost.stderr
    parts[2] = start(2)
    for part in parts:
        error = part.communicate(timeout=LIMIT)[1]
        assert part.returncode == 0, error
    assert content(forge(env, *given, "--finish")) == local[0]


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
