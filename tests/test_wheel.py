"""The built wheel works from the clone's root, where the clone's own folders could shadow it."""

import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the sdist, the wheel from it; install the wheel beside this environment's packages."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names = sorted(path.name.split("-")[-1] for path in folder.iterdir())
    assert names == ["0.1.0.tar.gz", "any.whl"]
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", next(folder.glob("*.whl"))]
    subprocess.run(install, check=True, capture_output=True)
    packages = Path(next((folder / "venv/lib").glob("python3*")), "site-packages")
    # This environment's libraries, not its editable install: .pth files there are not read.
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return folder


def test_the_wheel_cleans_from_the_clones_root(wheel, tmp_path):
    """Two worker processes of the installed wheel, started in the clone, give the golden digest."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    command = [wheel / "venv/bin/forge", "clean", "sample_data", "-o", tmp_path / "r", "--json"]
    command += ["--workers", "2", "--beam", "direct_running_mode=multi_processing", "--quiet"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    golden = json.loads((ROOT / "tests/golden/sample.json").read_text())
    assert json.loads(done.stdout.splitlines()[-1])["content"] == golden["content"]


def test_the_wheel_holds_the_mapped_folders_and_nothing_else(wheel):
    """Only corpusforge in site-packages; specs, rules and sample come as package data."""
    code = (
        "import corpusforge, pathlib\n"
        "from corpusforge import spec\n"
        "print(pathlib.Path(corpusforge.__file__).parents[1])\n"
        "assert 'bpe-32k' in spec.shipped(spec.TokenizeSpec)\n"
        "assert 'gpt-mini' in spec.shipped(spec.TrainSpec)\n"
    )
    python = wheel / "venv/bin/python"
    done = subprocess.run(
        [python, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    packages = Path(done.stdout.strip())
    assert packages.is_relative_to(wheel / "venv")
    for name in ("train", "pipelines", "sample_data", "tokenizer_specs"):
        assert not (packages / name).exists()
        assert (packages / "corpusforge" / name).is_dir()
    for name in ("pages.warc.gz", "licences", "expected.json"):
        assert (packages / "corpusforge/sample_data" / name).exists()


def test_a_missing_extra_is_one_line_with_the_pip_command(wheel, tmp_path):
    """Without torch ``forge train`` says which extra to install."""
    block = tmp_path / "torch.py"
    block.write_text("raise ModuleNotFoundError('no torch', name='torch')\n")
    (tmp_path / "run").mkdir()
    done = subprocess.run(
        [wheel / "venv/bin/forge", "train", "run/tok"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "forge: torch is not installed; run: pip install 'corpusforge[train]'"
    )
