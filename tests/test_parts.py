"""A run in parts is the run: for any number of parts, in any order; what is lost is named."""

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpusforge import api, manifest, parts
from corpusforge import spec as specs
from corpusforge.cli import main
from corpusforge.errors import ForgeError, RunError, UsageError
from corpusforge.parts import Part, Stopped

SAMPLE = str(Path(__file__).parent.parent / "sample_data")
TOKENIZE = specs.TokenizeSpec(algo="bpe", vocab_size=600)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Parts that are not at work are not waited for."""
    monkeypatch.setattr(parts, "GRACE", 0.0)
    monkeypatch.setattr(parts, "pause", lambda root: 0.02)


WORDS = [
    "the",
    "corpus",
    "of",
    "pages",
    "that",
    "was",
    "read",
    "in",
    "parts",
    "by",
    "several",
    "hosts",
    "and",
    "the",
    "ledger",
    "of",
    "it",
]
SPEC = specs.CleanSpec(plan={"unit_bytes": 65536}, rules={"use": []})


def text(seed):
    """A text of 120 words; two seeds rarely give near-twins."""
    return " ".join(WORDS[(seed * 31 + n * (seed + 3)) % len(WORDS)] for n in range(120)) + "."


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Twelve files of text with copies among them, a unit each."""
    folder = tmp_path_factory.mktemp("pages")
    for number in range(12):
        rows = [(f"{number}-{row}", text(number % 5 * 57 + row)) for row in range(110)]
        lines = [json.dumps({"id": id_, "text": words}) for id_, words in rows]
        (folder / f"{number:02d}.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder)


@pytest.fixture(scope="module")
def plain(pages, tmp_path_factory):
    """Digests of clean and tokenize in one process."""
    folder = tmp_path_factory.mktemp("plain")
    done = api.clean([pages], f"{folder}/run", SPEC)
    return done.content, api.tokenize([f"{folder}/run"], f"{folder}/tok", TOKENIZE).content


def rounds(act, of):
    """Call ``act(part)`` for each part in turn until the closing call succeeds; returns rounds."""
    for count in range(1, 12):
        for number in range(of):
            with pytest.raises(Stopped):
                act(part=f"{number}/{of}")
        try:
            act(finish=True)
            return count
        except RunError as error:
            assert "lost: part" in str(error)
    raise AssertionError("it does not end")


@pytest.mark.parametrize("of", [1, 3])
def test_parts_one_after_the_other_give_the_run(pages, plain, tmp_path, of):
    """Each round closes a stage; the digests are those of a plain run."""
    run, tok = f"{tmp_path}/run", f"{tmp_path}/tok"
    count = rounds(lambda **how: api.clean([pages], run, SPEC, **how), of)
    assert count == 1 if of == 1 else 1 < count <= 6
    assert manifest.read(run, "clean").content == plain[0]
    api.verify(run)
    rounds(lambda **how: api.tokenize([run], tok, TOKENIZE, **how), of)
    assert manifest.read(tok, "tokenize").content == plain[1]
    api.verify(tok)
    assert not Path(run, "work").exists() and not Path(tok, "work").exists()


def test_parts_at_once_need_one_round(pages, plain, tmp_path):
    """They wait for each other, and one of them does what is done once."""
    run, ends = f"{tmp_path}/run", []

    def go(number):
        with pytest.raises(Stopped) as stop:
            api.clean([pages], run, SPEC, part=f"{number}/3")
        ends.append(str(stop.value))

    threads = [threading.Thread(target=go, args=(n,)) for n in range(3)]
    parts.GRACE = 30.0  # until the others have begun
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ["is done; when all are, --finish" in end for end in ends] == [True] * 3
    for _ in range(2):  # the second call finds it closed
        assert api.clean([pages], run, SPEC, finish=True).content == plain[0]


def test_a_lost_part_is_named(pages, plain, tmp_path):
    """With its units; a plain command may end the run instead."""
    run = f"{tmp_path}/run"
    with pytest.raises(RunError, match="no part has worked here"):
        api.clean([pages], run, SPEC, finish=True)
    for number in (0, 2):
        with pytest.raises(Stopped, match=r"has done its share of stage documents; .*1/4"):
            api.clean([pages], run, SPEC, part=f"{number}/4")
    with pytest.raises(RunError, match=r"lost: part 1/4, 3/4 of stage documents \(6 unit"):
        api.clean([pages], run, SPEC, finish=True)
    assert api.clean([pages], run, SPEC).content == plain[0]
    assert api.clean([pages], run, SPEC, part="3/4").content == plain[0]  # it is finished


def test_who_works_where_is_kept_apart(pages, tmp_path):
    """A part alive stops a plain run; a plain run alive stops a part; the same part is one."""
    run = f"{tmp_path}/run"
    lease = Part(1, 2).lease(run)
    Path(run).mkdir()
    Path(run, "spec.toml").write_text("# forge clean\n" + specs.dump(SPEC))
    assert lease.take() is None
    with pytest.raises(RunError, match=r"part 1/2 .* works here"):
        api.clean([pages], run, SPEC)
    lease.release()
    with pytest.raises(RunError, match="made with another spec"):
        api.clean([pages], run, specs.CleanSpec(), part="0/2")


def test_parts_that_would_wait_for_each_other_are_refused(pages, tmp_path):
    """Other inputs or versions than a part that is at work has; not when that one has ended."""
    run = f"{tmp_path}/run"
    lease = Part(1, 2).lease(run)
    assert lease.take() is None
    parts.agree(run, Part(1, 2), "the key of other versions")
    Path(run, "spec.toml").write_text("# forge clean\n" + specs.dump(SPEC))
    with pytest.raises(RunError, match=r"part 1/2 .* works here with other inputs"):
        api.clean([pages], run, SPEC, part="0/2")
    lease.release()
    with pytest.raises(Stopped):
        api.clean([pages], run, SPEC, part="0/2")


@pytest.mark.parametrize("given", ["4/4", "-1/4", "1", "a/b", "1/0", ""])
def test_a_wrong_part_is_refused(given, tmp_path):
    """With an example, before anything is made."""
    with pytest.raises(UsageError, match="--part 0/4"):
        api.clean([SAMPLE], f"{tmp_path}/run", part=given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", [{"finish": True}, {"fresh": True}])
def test_what_does_not_go_with_a_part_is_refused(how, tmp_path):
    """--finish and --fresh."""
    with pytest.raises(ForgeError, match=r"in parts|--part and --finish"):
        api.clean([SAMPLE], f"{tmp_path}/run", part="0/2", **how)


@pytest.mark.parametrize(
    "flags", [("--workers", "2"), ("--runner", "DaskRunner"), ("--beam", "a=b")], ids=lambda f: f[0]
)
def test_an_engine_is_refused_in_parts(flags, tmp_path):
    """A part is one process without one; exit code 2, nothing made."""
    given = ["clean", SAMPLE, "-o", f"{tmp_path}/run", "--part", "0/2", *flags]
    done = CliRunner().invoke(main, given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"--part with {flags[0]}; a part" in done.stderr and not list(tmp_path.iterdir())
