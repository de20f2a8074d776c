"""Build sample_data/ from Debian packages: `python sample_data/build.py --packages DIR [--fetch]`.

DIR holds each package extracted under its own name. By hand that is, for each PACKAGE:
`apt-get download PACKAGE && dpkg-deb -x PACKAGE_*.deb DIR/PACKAGE`; `--fetch` does the same.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if not __package__:  # run as a script: give the relative imports below their package
    sys.path.insert(0, str(HERE.parent))
    __package__ = HERE.name

from .awkward import awkward_warc  # noqa: E402
from .crawl import pages_warc  # noqa: E402
from .describe import readme  # noqa: E402
from .expected import Expected  # noqa: E402
from .notes import by_language, more_jsonl, notes_jsonl  # noqa: E402
from .records import gzip_member, members  # noqa: E402
from .selection import (  # noqa: E402
    SOURCES,
    Page,
    choose,
    dump_selection,
    load_selection,
    passages,
)

# base-files is taken for the text of the GNU GPL, which the copyright files only point to.
LICENCE_PACKAGE = "base-files"
GPL = "usr/share/common-licenses/GPL-2"
MIN_WORDS = 230
NOTE_WORDS = 180


def fetch(packages: Path) -> None:
    """Download and extract the packages that are not there yet."""
    packages.mkdir(parents=True, exist_ok=True)
    for name in (*SOURCES, LICENCE_PACKAGE):
        if (packages / name).is_dir():
            continue
        subprocess.run(["apt-get", "download", name], cwd=packages, check=True)
        (archive,) = packages.glob(f"{name}_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(archive), str(packages / name)], check=True)


def build(packages: Path, pages: list[Page]) -> dict[str, bytes]:
    """Every file of the sample but the selection, by its name."""
    expected = Expected()
    crawl = [(page, page.read(packages)) for page in pages if page.use == "pages"]
    single = [page for page in pages if page.use == "awkward"]
    short = [page for page in pages if page.use == "notes"]
    texts = (paragraphs for _, paragraphs in passages(single, packages, MIN_WORDS))
    queues = by_language(passages(short, packages, NOTE_WORDS))
    files = {
        "pages.warc.gz": pages_warc(crawl, expected),
        "awkward.warc.gz": awkward_warc(texts, expected),
        "notes.jsonl": notes_jsonl(queues, expected),
        "more.jsonl.gz": gzip_member(more := more_jsonl(queues)),
    }
    counts = {
        "pages.warc.gz": sum(1 for _ in members(files["pages.warc.gz"])),
        "awkward.warc.gz": sum(1 for _ in members(files["awkward.warc.gz"])),
        "notes.jsonl": sum(bool(line.strip()) for line in files["notes.jsonl"].split(b"\n")),
        "more.jsonl.gz": more.count(b"\n"),
    }
    table = {name: (counts[name], len(data)) for name, data in files.items()}
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in expected.rows)
    files["expected.json"] = f"[\n{rows}\n]\n".encode()
    files["README.md"] = readme(pages, table, expected.rows).encode()
    files["licences/GPL-2.txt"] = (packages / LICENCE_PACKAGE / GPL).read_bytes()
    for name, source in SOURCES.items():
        files[f"licences/{name}.txt"] = (packages / name / source.copyright).read_bytes()
    return files


def main() -> None:
    """Read the command line and write the sample."""
    parser = argparse.ArgumentParser(description="Build the sample from Debian packages.")
    parser.add_argument("--packages", type=Path, required=True, metavar="DIR")
    parser.add_argument("--fetch", action="store_true", help="download and extract what is missing")
    parser.add_argument("--select", action="store_true", help="choose the pages anew")
    parser.add_argument("-o", "--output", type=Path, default=HERE, metavar="DIR")
    options = parser.parse_args()
    packages = options.packages.resolve()
    if options.fetch:
        fetch(packages)
    if options.select:
        (HERE / "selection.json").write_text(dump_selection(choose(packages)), "utf-8")
    for name, data in build(packages, load_selection(HERE / "selection.json")).items():
        target = options.output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        print(f"{len(data):9,}  {name}")


if __name__ == "__main__":
    main()
