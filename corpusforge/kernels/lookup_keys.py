"""Keys by which a document is looked up: hashes of its id, its own id, its URL and its host."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

ID, SOURCE_ID, URL, HOST = b"i", b"s", b"u", b"h"  # kinds of keys


def plain_url(urls: pa.Array) -> pa.StringArray:
    """Return URLs (rows,) as a person may write any of them: what differs only there is equal.

    White space around, the scheme http or https, the fragment, slashes at the end and the port 80
    or 443 go; the host is in lower case.
    """
    urls = pc.utf8_trim_whitespace(urls)
    for pattern in (r"^(?i:https?:)?//", r"(?s)#.*$", r"/+$"):
        urls = pc.replace_substring_regex(urls, pattern, "")
    parts = pc.extract_regex(urls, r"(?s)^(?P<host>[^/?]*)(?P<rest>.*)$")
    host = pc.utf8_lower(pc.struct_field(parts, "host"))
    host = pc.replace_substring_regex(host, r":(?:80|443)$", "")
    return pc.binary_join_element_wise(host, pc.struct_field(parts, "rest"), "")


def host_of(urls: pa.Array) -> pa.StringArray:
    """Return the host (rows,) of ``plain_url``s: without user, port and a leading ``www.``."""
    parts = pc.extract_regex(urls, r"(?s)^(?:[^/?@]*@)?(?:www\.)?(?P<host>[^/?:]*).*$")
    return pc.struct_field(parts, "host")


def hashes(kind: bytes, values: pa.Array) -> npt.NDArray[np.uint64]:
    """Return xxh3-64 of ``kind`` and each value (strings or bytes, none of them null)."""
    one = xxhash.xxh3_64_intdigest
    raw = values.cast(pa.binary()).to_pylist()
    return np.fromiter((one(kind + value) for value in raw), np.uint64, len(raw))
