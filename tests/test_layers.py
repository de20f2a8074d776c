"""The layer table of the design, checked over the source."""

import ast
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STD = set(sys.stdlib_module_names)
KERNEL_LIBRARIES = {
    *("numpy", "numba", "pyarrow", "selectolax", "resiliparse", "trafilatura"),
    *("xxhash", "fasttext", "datasketch", "spacy"),
}
TRAIN_PARTS = {
    "spec",
    "schema",
    "manifest",
    "tokenizer",
    "loader",
    "errors",
    "run",
    "eval",
    "trials",
}


def imports(path: Path) -> set[str]:
    """Absolute module names that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            if node.module == "corpusforge":
                found |= {f"corpusforge.{alias.name}" for alias in node.names}
    return found


def top(modules: set[str]) -> set[str]:
    """First parts of module names."""
    return {module.split(".")[0] for module in modules}


LIBRARY = sorted((ROOT / "corpusforge").rglob("*.py"))


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_library_imports_neither_beam_nor_torch(path):
    """corpusforge/ never imports Beam, torch, pipelines or train; click only in cli/."""
    found = imports(path)
    assert not top(found) & {"apache_beam", "torch", "train", "pipelines"}
    assert not {m for m in found if m.startswith(("corpusforge.pipelines", "corpusforge.train"))}
    if path.parent.name != "cli":
        assert "click" not in top(found)


def test_only_storage_knows_fsspec():
    """So that every path has the same rules, and its errors are one line."""
    folders = [ROOT / name for name in ("corpusforge", "pipelines", "train")]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    assert [p.name for p in paths if "fsspec" in top(imports(p))] == ["storage.py"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "corpusforge/kernels").rglob("*.py")), ids=lambda p: p.name
)
def test_kernels_are_pure(path):
    """Kernels import numeric and parser libraries, each other and errors; nothing else."""
    found = imports(path)
    inner = {m for m in found if m.startswith("corpusforge.")}
    assert {
        m for m in inner if not m.startswith(("corpusforge.kernels", "corpusforge.errors"))
    } == set()
    assert top(found) - STD - {"corpusforge"} <= KERNEL_LIBRARIES
    if path.name != "jit.py":  # which finds a place for the machine code
        assert not top(found) & {"time", "random", "os", "socket", "tempfile"}


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.py")), ids=lambda p: p.name)
def test_pipelines_know_no_torch(path):
    """Pipelines import Beam and the library, never train, torch or a kernel that judges."""
    found = imports(path)
    assert not top(found) & {"torch", "numpy", "numba", "pyarrow", "train"}
    assert not {m for m in found if m.startswith("corpusforge.train")}


@pytest.mark.parametrize("path", sorted((ROOT / "train").rglob("*.py")), ids=lambda p: p.name)
def test_train_knows_no_beam(path):
    """The trainer imports torch and the few parts of the library named in the design."""
    found = imports(path)
    assert not top(found) & {"apache_beam", "pipelines"}
    parts = {m.split(".")[1] for m in found if m.startswith("corpusforge.")}
    assert parts <= TRAIN_PARTS


def test_packages_match_the_tree():
    """Every folder with code is listed in pyproject, and nothing else."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        f"corpusforge.{p.parent.relative_to(ROOT / 'corpusforge')}".replace("/", ".").rstrip(".")
        for p in LIBRARY
    }
    mapped = {
        f"corpusforge.{p.parent.relative_to(ROOT)}".replace("/", ".")
        for name in ("pipelines", "train", "sample_data")
        for p in (ROOT / name).rglob("*.py")
    }
    assert set(config["packages"]) == folders | mapped | {"corpusforge.tokenizer_specs"}
    assert set(config["package-dir"]) == mapped | {"corpusforge.tokenizer_specs"}


def test_files_are_small_and_named_well():
    """No file over 400 lines, no catch-all name, no name of the standard library."""
    for folder in ("corpusforge", "pipelines", "train", "sample_data"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
            assert path.stem not in {"utils", "common", "helpers"}, path
            assert path.stem.startswith("__") or path.stem not in STD, path


def test_help_is_light(tmp_path):
    """``forge --help`` imports none of torch, Beam, numba, pyarrow, and starts at once."""
    heavy = ("torch", "apache_beam", "numba", "pyarrow", "pydantic", "numpy")
    code = (
        "import sys\nfrom corpusforge.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)"
    )
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "forge clean" in done.stdout
    assert time.monotonic() - begin < 10
