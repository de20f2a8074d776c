"""The recipes of docs/interop.md, run in an environment that has the other tools.

FORGE_INTEROP names its Python: a venv with
`pip install datasets duckdb pandas 'datatrove[io]' transformers`.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from corpusforge import api, spec

PYTHON = os.environ.get("FORGE_INTEROP", ".interop/bin/python")
PAGE = (Path(__file__).parent.parent / "docs/interop.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## (\w+)\n\n```python\n(.*?)```", PAGE, re.M | re.S)

pytestmark = pytest.mark.skipif(
    not Path(PYTHON).exists(), reason="needs FORGE_INTEROP, the Python of a venv with other tools"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with run/clean (Arrow) and run/parquet, three documents each, and run/tok."""
    root = tmp_path_factory.mktemp("interop")
    lines = [json.dumps({"id": f"d{n}", "text": f"Text number {n} of three."}) for n in range(3)]
    (root / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    plain = ["rules.use=[]", "dedup.near='none'"]
    for name, format_ in (("clean", "arrow"), ("parquet", "parquet")):
        settings = spec.load(spec.CleanSpec, overrides=[*plain, f"output.format='{format_}'"])
        api.clean([str(root / "in.jsonl")], str(root / "run" / name), settings, workers=1)
    small = spec.load(spec.TokenizeSpec, overrides=["vocab_size=300"])
    api.tokenize([str(root / "run/clean")], str(root / "run/tok"), small, workers=1)
    return root


@pytest.mark.parametrize(("tool", "code"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_the_recipe_runs(folder, tool, code):
    """Each tool opens the corpus folder as the page says, without network."""
    where = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "HOME": str(folder)}
    subprocess.run(
        [str(Path(PYTHON).absolute()), "-c", code], cwd=folder, env={**os.environ, **where},
        check=True, timeout=120,
    )  # fmt: skip


def test_every_tool_has_a_recipe():
    """Five tools."""
    names = ["datasets", "DuckDB", "pandas", "datatrove", "transformers"]
    assert [name for name, _ in BLOCKS] == names
