"""Where files lie: local disks and object stores, through fsspec. What differs is decided here.

disk    a temporary name, fsync, rename; a file that must be new is linked under its name
store   a file is held on the local disk and put whole under its final name, once; what must be
        new is put if absent (S3 If-None-Match, GCS ifGenerationMatch=0). Nothing is renamed,
        appended to or listed from a cache.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import posixpath
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import fsspec

from corpusforge.errors import ExtraMissing, ForgeError, RunError, UsageError

T = TypeVar("T")
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcp", "gcs": "gcp"}
BLOCK = 8 << 20  # bytes of a store's file that are read, or put as one part, at a time
TRIES = 3  # of one put, each with the client's own retries
PAUSE = 1.0  # seconds before the second try; where a store knows no put-if-absent
_CLIENT = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"total_max_attempts": 6, "mode": "standard"},
}
_OF_STORES = {"botocore", "aiobotocore", "s3fs", "gcsfs", "google", "aiohttp", "fsspec", "requests"}


def protocol_of(path: str) -> str:
    """Return ``s3``, ``gs``, ``memory``, ... of a path; '' for a local one."""
    scheme, separator, _ = path.partition("://")
    return scheme if separator and scheme not in ("file", "local") else ""


def file_system(path: str) -> tuple[Any, str]:
    """Return the file system of ``path`` and its name there.

    Raises ExtraMissing where a package is missing, RunError for an unknown protocol.
    """
    protocol, options = protocol_of(path), dict[str, Any]()
    if protocol in EXTRAS and "::" not in path:
        if not os.environ.get("FORGE_DEBUG"):  # its tracebacks would hide our one line
            logging.getLogger("gcsfs").setLevel(logging.CRITICAL + 1)
        given = fsspec.config.conf.get(protocol, {})
        options = {"use_listings_cache": False}  # other processes write too
        if EXTRAS[protocol] == "s3":
            options |= {"default_block_size": BLOCK, "config_kwargs": _CLIENT}
        options = {key: value for key, value in options.items() if key not in given}
    try:
        fs, plain = fsspec.core.url_to_fs(path, **options)
    except ImportError as error:
        if protocol not in EXTRAS:
            raise RunError(
                f"{protocol}:// cannot be used: {error}", file=path, remedy="use s3:// or gs://"
            ) from None
        raise ExtraMissing(f"the package that reads {protocol}://", EXTRAS[protocol]) from None
    except ValueError as error:
        raise RunError(str(error), file=path, remedy="use a local path, s3:// or gs://") from None
    if EXTRAS.get(protocol) == "s3":
        fs.retries = 2  # each with the client's
    return fs, plain


def is_local(fs: Any) -> bool:
    """Tell whether a file system is the local disk."""
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    return protocol in ("file", "local")


def need_local(*paths: str) -> None:
    """Raise UsageError for the first path that does not lie on a local disk."""
    for path in paths:
        if protocol_of(path):
            raise UsageError(
                "this must lie on a local disk, since it is mapped or renamed",
                file=path,
                remedy="copy it there first (aws s3 sync, gcloud storage rsync), or name a local "
                "output",
            )


def open_read(path: str) -> IO[bytes]:
    """Open a file for reading at any place."""
    fs, plain = file_system(path)
    with errors_of(path):
        file: IO[bytes] = fs.open(plain, "rb")
        return file


def read_bytes(path: str, start: int | None = None, end: int | None = None) -> bytes:
    """Return the bytes [start, end) of a file, by default all; one request."""
    fs, plain = file_system(path)
    with errors_of(path):
        data: bytes = fs.cat_file(plain, start=start, end=end)
        return data


def put_new(path: str, data: bytes) -> bool:
    """Write a small file that is not there yet, whole or not at all; False where there is one."""
    fs, plain = file_system(path)
    if is_local(fs):
        return _link_new(plain, data)
    with errors_of(path):
        try:
            fs.pipe_file(plain, data, mode="create")
            return True
        except (OSError, TypeError) as error:
            if isinstance(error, FileExistsError) or _status(error) in (409, 412):
                # Also where an answer was lost and the client asked again.
                with contextlib.suppress(FileNotFoundError):
                    return bool(fs.cat_file(plain) == data)
                return False
            if not isinstance(error, TypeError) and _status(error) != 501:
                raise
        if fs.exists(plain):  # a store without put-if-absent: the last of two that write holds it
            return False
        fs.pipe_file(plain, data)
        time.sleep(PAUSE)
        return bool(fs.cat_file(plain) == data)


def _link_new(plain: str, data: bytes) -> bool:
    path = Path(plain)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(f"{plain}.tmp-{secrets.token_hex(8)}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError:  # a disk without links
        with contextlib.suppress(FileExistsError), path.open("xb") as file:
            file.write(data)
            return True
        return False
    finally:
        temporary.unlink()
    return True


def _status(error: BaseException) -> int:
    """Return the HTTP status behind an error of a store, 0 where there is none."""
    answer = getattr(error.__cause__ or error, "response", None)
    if not isinstance(answer, dict):
        return 0
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


class AtomicFile:
    """A binary file that appears under its final name only on ``commit``; hashes while writing."""

    def __init__(self, path: str) -> None:
        self.url = path
        self.fs, self.path = file_system(path)
        self.local = is_local(self.fs)
        if self.local:
            self.fs.makedirs(posixpath.dirname(self.path), exist_ok=True)
            self.temporary = f"{self.path}.tmp-{secrets.token_hex(8)}"
        else:
            self.temporary = _temporary()
        self.file = Path(self.temporary).open("wb")  # noqa: SIM115 (closed by commit or discard)
        self.sha256 = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Append ``data`` (bytes-like)."""
        view = memoryview(data)
        self.sha256.update(view)
        self.file.write(view)
        self.bytes += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Nothing to do before ``commit``; pyarrow asks for the method."""

    def tell(self) -> int:
        """Bytes written."""
        return self.bytes

    def close(self) -> None:
        """Let pyarrow close its side; the file itself closes on ``commit`` or ``discard``."""

    def commit(self) -> None:
        """Make the bytes durable under the final name."""
        self.file.flush()
        if self.local:
            os.fsync(self.file.fileno())
        self.file.close()
        if self.local:
            os.replace(self.temporary, self.path)  # noqa: PTH105 (fsspec paths are strings)
            return
        try:
            again(self.url, lambda: self.fs.put_file(self.temporary, self.path, **_parts(self.fs)))
        finally:
            Path(self.temporary).unlink()

    def discard(self) -> None:
        """Remove what was written; nothing of it was ever under the final name."""
        with contextlib.suppress(OSError):
            self.file.close()
        Path(self.temporary).unlink(missing_ok=True)


def _parts(fs: Any) -> dict[str, Any]:
    """How a large file is put: with bounded memory. All parts become one object at their end."""
    name = type(fs).__name__
    if name == "S3FileSystem":
        return {"chunksize": BLOCK, "max_concurrency": 4}
    return {"chunksize": BLOCK} if name == "GCSFileSystem" else {}


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file atomically."""
    fs, plain = file_system(path)
    if is_local(fs):
        file = AtomicFile(path)
        file.write(data)
        file.commit()
    else:
        again(path, lambda: fs.pipe_file(plain, data))


def again(path: str, act: Callable[[], T]) -> T:
    """Do what may be done twice, a few times if the store fails; its last error is told."""
    pause = PAUSE
    for left in range(TRIES - 1, -1, -1):
        try:
            with errors_of(path):
                return act()
        except RunError as error:
            if not left or not isinstance(error, StoreFailed):
                raise
        time.sleep(pause)
        pause *= 3
    raise AssertionError("unreachable")


def remove(path: str) -> None:
    """Delete a file or a folder with all in it; nothing where there is none."""
    fs, plain = file_system(path)
    with errors_of(path), contextlib.suppress(FileNotFoundError):
        fs.rm(plain, recursive=True)


def near(folder: str) -> str:
    """Return ``folder`` if it is local, else a new name on the local disk: for what is sorted."""
    fs, _ = file_system(folder)
    return folder if is_local(fs) else _temporary()


def _temporary() -> str:
    return str(Path(tempfile.gettempdir(), f"forge-{secrets.token_hex(8)}"))


# -- errors --------------------------------------------------------------------------------------


class StoreFailed(RunError):
    """A store that did not do its work this time; another try may help."""


@contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Tell what a store's client raises as one line that names ``path``.

    FileNotFoundError passes where it speaks of a file, so do the errors of a local disk.
    """
    try:
        yield
    except ForgeError:
        raise
    except Exception as error:
        told = _told(error, path) if protocol_of(path) else None
        if told is None:
            raise
        raise told from error


def explained(error: BaseException, path: str) -> ForgeError | None:
    """Return the one line for an error of the store of ``path``; None if it is none of a store."""
    return _told(error, path) if protocol_of(path) else None


def _told(error: BaseException, path: str) -> RunError | None:
    cause = error.__cause__ or error
    kinds = [kind for one in (error, cause) for kind in type(one).__mro__]
    names = {kind.__name__ for kind in kinds}
    modules = {kind.__module__.split(".")[0] for kind in kinds}
    if isinstance(error, ForgeError) or not (isinstance(error, OSError) or modules & _OF_STORES):
        return None
    text, s3 = str(error), EXTRAS.get(protocol_of(path)) == "s3"
    bucket = path.partition("://")[2].partition("/")[0]
    if names & {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}:
        how = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure"
        return RunError(
            "no credentials for this store were found",
            file=path,
            remedy=how if s3 else "run: gcloud auth application-default login",
        )
    if "bucket does not exist" in text or "NoSuchBucket" in text:
        return RunError(f"there is no bucket {bucket}", file=path, remedy="create it first")
    if isinstance(error, FileNotFoundError):
        return None
    denied = "PermissionError" in names or "Forbidden" in text or "does not have storage." in text
    if denied or "Invalid Credentials" in text or "Anonymous caller" in text:
        return RunError(
            f"the store refuses access: {text or 'denied'}",
            file=path,
            remedy="check the credentials and the policy of the bucket",
        )
    if getattr(error, "errno", None) in (errno.EISDIR, errno.ENOTDIR, errno.ENOSPC):
        return None
    where = "FSSPEC_S3_ENDPOINT_URL" if s3 else "FSSPEC_GS_ENDPOINT_URL"
    return StoreFailed(
        f"the store does not do its work: {type(cause).__name__}: {text}",
        file=path,
        remedy=f"check the network and {where}, then run again to go on",
    )
