"""The loader on small token folders: every token once, one order, exact state, provenance."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_folders import BATCH, EOT, every_piece, load, same, take, write

from corpusforge.errors import ForgeError, InputError, RunError, SpecError, UsageError
from corpusforge.kernels.packing import IGNORED

LENGTHS = np.maximum(1, np.random.default_rng(3).lognormal(3, 1, 300)).astype(np.int64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """300 documents in three shards, about 9,000 tokens."""
    return write(tmp_path_factory.mktemp("loader"), "tok", LENGTHS)


@pytest.mark.parametrize("packing", ["chop", "bestfit"])
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_an_epoch_trains_each_token_once(folder, packing, split):
    """Targets are the next token of the document; only a piece's first token is never one."""
    loader = load(folder, packing=packing, split=split, heldout=0.3)
    loader.global_batch = loader.rows
    batch = next(loader)
    pieces = every_piece(loader).to_pydict()
    used = batch.targets != IGNORED
    after = batch.targets[used]
    assert np.all((after == batch.inputs[used] + 1) | (after == EOT))
    assert used.sum() == sum(pieces["length"]) - len(pieces["length"])
    lengths = dict(zip((f"tok/{i}" for i in range(300)), LENGTHS.tolist(), strict=True))
    held = set(pieces["source_id"])
    total = sum(lengths[one] for one in held)
    overlap = loader.rows - 1 if packing == "chop" else 0
    assert sum(pieces["length"]) == total + overlap
    ids = np.concatenate([batch.inputs[batch.segments >= 0], after])
    assert len(np.unique(ids[ids != EOT])) == total - len(held)
    expected = sum(
        3 * lengths[one] * (size - 1) / lengths[one]
        for one, size in zip(pieces["source_id"], pieces["length"], strict=True)
    )
    assert batch.target_bytes.sum() == pytest.approx(expected)


def test_positions_and_segments_follow_the_pieces(folder):
    """Positions restart where the segment changes, and padding has neither."""
    batch = next(load(folder))
    for at, of in zip(batch.positions, batch.segments, strict=True):
        real = of[of >= 0]
        for number in np.unique(real):
            assert np.array_equal(at[of == number], np.arange((of == number).sum()))
        assert np.array_equal(np.sort(real), real) and not at[of < 0].any()


def test_heldout_is_the_same_for_every_tokenizer(folder, tmp_path):
    """Ids decide: other lengths, widths and packing hold out the same documents."""
    other = write(tmp_path, "other", LENGTHS + 3, width=32, shards=1, digest="u", label="tok")

    def ids(where, split, **changes):
        loader = load(where, split=split, heldout=0.2, **changes)
        return set(every_piece(loader).column("id").to_pylist())

    held = ids(folder, "heldout")
    assert held == ids(other, "heldout", packing="chop", sequence=50)
    assert not held & ids(folder, "train")
    assert len(held | ids(folder, "train")) == 300 and 30 < len(held) < 90


@pytest.mark.parametrize("weighted", [False, True])
def test_resume_over_an_epoch_boundary(folder, tmp_path, weighted):
    """From the state at any step, a new loader reads the batches that the first one read."""
    folders = [folder, write(tmp_path, "more", [9] * 80, first=20_000)]
    weights = {folders[0]: 1.0, folders[1]: 2.0} if weighted else None
    loader = load(*folders, weights=weights)
    steps = 3 * loader.rows // BATCH
    assert steps * BATCH % loader.rows, "an epoch must end inside a batch"
    states, batches = [], []
    for _ in range(steps):
        states.append(json.loads(json.dumps(loader.state())))
        batches.append(next(loader))
    assert any(len(np.unique(batch.epochs)) > 1 for batch in batches)
    assert states[-1]["epoch"] > 0
    for at in (0, 1, steps // 3, steps // 3 + 1, steps - 2):
        again = load(*folders, weights=weights)
        again.load_state(states[at])
        assert all(map(same, take(again, steps - at), batches[at:]))


def test_ranks_see_parts_of_one_batch(folder):
    """1, 2, 3 and 8 ranks: their parts, one after the other, are the global batch."""
    loader = load(folder)
    position = loader.rows - 5
    whole = loader.batch(position)
    for world in (1, 2, 3, 8):
        parts = [loader.batch(position, rank, world) for rank in range(world)]
        for name, value in vars(whole).items():
            if value is None:  # only of pairs
                continue
            assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), value)
    with pytest.raises(UsageError, match="cannot be cut into 5 equal parts"):
        loader.batch(0, 0, 5)
    for rank, world in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(UsageError, match=r"rank|cannot be cut"):
            loader.batch(0, rank, world)


@settings(max_examples=25, deadline=None)
@given(
    lives=st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3, 8]),
            st.integers(0, 4),
            st.sampled_from([24, 48]),
            st.integers(1, 6),
        ),
        min_size=1,
        max_size=5,
    ),
    packing=st.sampled_from(["bestfit", "pairs"]),
)
def test_one_order_whatever_reads_it(folder, lives, packing):
    """Killed and started again with other ranks, threads and batch sizes: row for row the same."""
    state, seen = load(folder, packing=packing).state(), []
    for world, threads, batch, steps in lives:
        loader = load(folder, packing=packing, batch=batch)
        loader.load_state(json.loads(json.dumps(state)))
        asked = [
            (loader.position + step * batch, rank, world)
            for step in range(steps)
            for rank in range(world)
        ]
        if threads:
            with ThreadPoolExecutor(threads) as pool:
                seen += pool.map(lambda one, of=loader: of.batch(*one), asked)
        else:
            seen += [loader.batch(*one) for one in asked]
        loader.position += steps * batch
        state = loader.state()
    total = sum(len(batch.rows) for batch in seen)
    reader = load(folder, packing=packing, batch=total)
    whole = next(reader)
    for name in ("inputs", "segments", "rows", "epochs"):
        joined = np.concatenate([getattr(batch, name) for batch in seen])
        assert np.array_equal(joined, getattr(whole, name))


def test_another_batch_size_reads_the_same_rows(folder):
    """The state counts rows, so a run goes on with a batch of another size."""
    loader, small = load(folder), load(folder, batch=7)
    take(loader, 2)
    small.load_state(loader.state())
    assert np.array_equal(
        np.concatenate([batch.rows for batch in take(small, 24)]),
        np.concatenate([batch.rows for batch in take(loader, 7)]),
    )


def test_state_is_small_and_refuses_other_data(folder, tmp_path):
    """Under 1 KB late in a run; another data digest, plan or seed is refused with both named."""
    loader = load(folder)
    loader.position = 10**9
    state = loader.state()
    assert len(json.dumps(state)) < 1024
    other = load(write(tmp_path, "other", [40] * 50))
    with pytest.raises(RunError, match=f"{loader.tokens.data}.*{other.tokens.data}"):
        other.load_state(state)
    with pytest.raises(RunError, match=r"bestfit 32.*chop 32"):
        load(folder, packing="chop").load_state(state)
    with pytest.raises(RunError, match="seed 5; expected 6"):
        load(folder, seed=6).load_state(state)
    with pytest.raises(RunError, match="'seed' is missing"):
        loader.load_state({key: value for key, value in state.items() if key != "seed"})
    for position in (-1, 1.5, "7", None, 1 << 40):
        with pytest.raises(RunError, match=r"position .*expected 0 to"):
            loader.load_state({**state, "position": position})


def test_a_mixture_is_part_of_the_state(tmp_path):
    """Other streams of the same shares are refused, and 400 streams are under 1 KB."""
    folder = write(tmp_path, "tok", [20] * 400, source=lambda number: f"file{number}")
    names = [f"file{number}" for number in range(400)]
    one, other = (load(folder, by="source", weights={name: 1.0, "*": 1.0}) for name in names[:2])
    one.load_state(load(folder, by="source", weights={"*": 2.0, "file0": 2.0}).state())
    with pytest.raises(RunError, match=r"plan bestfit 32 .*; expected bestfit 32 "):
        other.load_state(one.state())
    many = load(folder, by="source", weights=dict.fromkeys(names, 1.0))
    many.position = 10**9
    assert len(json.dumps(many.state())) < 1024


def test_plan_is_stored_once_and_found(folder, tmp_path):
    """A stored plan is read instead of made again, one file a key, and gives the same batches."""
    plain, stored = load(folder), load(folder, plan_folder=str(tmp_path))
    (file,) = tmp_path.glob("plan-*")
    before = file.stat()
    found = load(folder, plan_folder=str(tmp_path))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert same(next(plain), next(stored)) and same(next(found), plain.batch(0))
    load(folder, plan_folder=str(tmp_path), sequence=16)
    load(folder, plan_folder=str(tmp_path), split="heldout", heldout=0.1)
    assert len(list(tmp_path.glob("plan-*"))) == 3
    whole, middle = file.read_bytes(), file.stat().st_size // 2
    changed = bytes([whole[middle] ^ 1])
    for spoilt in (whole[:100], whole[:middle], whole[:middle] + changed + whole[middle + 1 :]):
        file.write_bytes(spoilt)
        with pytest.raises(RunError, match=r"not a plan.*delete it"):
            load(folder, plan_folder=str(tmp_path))


def test_plan_is_found_wherever_the_folder_lies(folder, tmp_path):
    """Token folders that moved, and weights that name them by another path, mean the same plan."""
    plans, moved = str(tmp_path / "plans"), tmp_path / "moved"
    other = write(tmp_path, "more", [9] * 80, first=20_000)
    shutil.copytree(folder, moved)
    one = load(folder, other, weights={folder: 1.0, other: 2.0}, plan_folder=plans)
    two = load(str(moved), other, weights={f"{moved}/x/..": 1.0, other: 2.0}, plan_folder=plans)
    two.load_state(one.state())
    assert same(next(one), next(two)) and len(list(Path(plans).glob("plan-*"))) == 1


def test_no_plan_is_made_of_damaged_shards(tmp_path):
    """Where plans are kept the shards are verified first: a wrong plan would outlive the damage."""
    folder, plans = write(tmp_path, "tok", [30] * 90), tmp_path / "plans"
    shard = Path(folder) / "tokens" / "part-00001.arrow"
    data = bytearray(shard.read_bytes())
    at = data.index(np.array([0, 30, 60], dtype=np.int64).tobytes())
    data[at + 8] = 31
    shard.write_bytes(data)
    assert load(folder).rows, "no structure is off"
    with pytest.raises(InputError, match="the checksum is not that of the manifest"):
        load(folder, plan_folder=str(plans))
    assert not list(plans.glob("plan-*"))
    data[at + 8 : at + 16] = np.int64(-1).tobytes()
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"part-00001.arrow: not a token shard"):
        load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 0},
        {"sequence": 1 << 30},
        {"sequence": 4, "packing": "pairs"},
        {"batch": 0},
        {"heldout": 1.0},
        {"heldout": float("nan")},
        {"split": "test"},
        {"block": 0},
        {"by": "colour", "weights": {"red": 1.0}},
        {"by": "source", "weights": {"tok": float("inf")}},
        {"by": "source", "weights": {"tok": float("nan")}},
    ],
)
def test_settings_out_of_range(folder, changes):
    """Each is refused before anything is planned, in one line."""
    with pytest.raises(SpecError) as caught:
        load(folder, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sequence", [1, 9_000, 100_000])
def test_rows_of_one_token_and_of_all(folder, sequence):
    """The shortest rows, and rows longer than all documents together."""
    loader = load(folder, sequence=sequence, batch=2)
    assert sum(every_piece(loader).column("length").to_pylist()) == LENGTHS.sum()
    assert next(loader).inputs.shape == (2, sequence)


def test_documents_of_a_batch(folder):
    """The pieces that `documents` names hold the tokens of the batch, in its order."""
    loader = load(folder)
    batch = loader.batch(70)
    table = loader.documents(batch.rows, batch.epochs)
    first = np.concatenate([[1], 1 + np.cumsum(LENGTHS)])
    for row in table.to_pylist():
        number = int(row["source_id"].split("/")[1])
        place = batch.rows.tolist().index(row["row"])
        seen = batch.inputs[place][batch.segments[place] == row["piece"]]
        assert row["source"] == "tok" and row["url"].endswith(row["source_id"])
        assert row["id"] == hashlib.md5(row["source_id"].encode()).digest()
        ids = first[number] + row["start"] + np.arange(row["length"])
        if row["start"] + row["length"] == LENGTHS[number]:
            ids[-1] = EOT
        assert seen.tolist() == ids[: len(seen)].tolist() and len(seen) >= row["length"] - 1
    assert table.num_rows == sum(len(np.unique(of[of >= 0])) for of in batch.segments)


@pytest.mark.parametrize("packing", ["bestfit", "pairs"])
@pytest.mark.parametrize("weighted", [False, True])
def test_steps_of_a_document(folder, tmp_path, weighted, packing):
    """The steps found by formula are those found by reading the batches of a run."""
    folders = [folder, write(tmp_path, "more", [100, *[9] * 80], first=20_000)]
    weights = {folders[0]: 1.0, folders[1]: 3.0} if weighted else None
    loader, steps, seen = load(*folders, weights=weights, heldout=0.2, packing=packing), 40, {}
    for step in range(steps):
        batch = next(loader)
        for row, epoch in zip(batch.rows, batch.epochs.tolist(), strict=True):
            pieces = loader.documents(np.array([row]), np.array([epoch]))
            for id_ in pieces.column("id").to_pylist():
                seen.setdefault(id_, set()).add((epoch, step))
    ids = [one for batch in loader.tokens.batches for one in batch.column("id").to_pylist()]
    assert all(loader.steps_of(id_, steps) == sorted(seen.get(id_, ())) for id_ in ids)
    assert len(seen) < len(ids)
    with pytest.raises(ForgeError, match="no token shard holds document 00"):
        loader.steps_of(bytes(16), steps)


def test_order_of_folders_does_not_matter(folder, tmp_path):
    """Folders are taken by their data's digest."""
    other = write(tmp_path, "more", [50] * 60, first=20_000)
    assert same(next(load(folder, other)), next(load(other, folder)))
    weights = {folder: 1.0, other + "/": 2.0}
    one, two = load(folder, other, weights=weights), load(other, folder, weights=weights)
    assert same(next(one), next(two)) and not same(one.batch(0), load(folder, other).batch(0))


def test_weights_are_shares_of_rows(folder, tmp_path):
    """A small folder with half of the weight is half of the rows, read in several epochs."""
    small = write(tmp_path, "small", [20] * 30, first=20_000)
    loader = load(folder, small, weights={folder: 1.0, small: 1.0}, batch=10_000)
    batch = next(loader)
    sources = every_piece(loader).to_pydict()
    rows = {
        row
        for row, source in zip(sources["row"], sources["source"], strict=True)
        if source == "small"
    }
    mine = np.isin(batch.rows, list(rows))
    assert abs(mine.mean() - 0.5) < 0.001
    assert batch.epochs[mine].max() > batch.epochs[~mine].max() > 0


def damage(folder, what):
    """Spoil a token folder."""
    shard = Path(folder) / "tokens" / "part-00001.arrow"
    manifest = Path(folder) / "manifest.json"
    if what == "shard":
        shard.unlink()
    elif what == "cut":
        shard.write_bytes(shard.read_bytes()[:-200])
    elif what == "text":
        shard.write_bytes(b"x" * shard.stat().st_size)
    elif what == "other":
        shard.write_bytes((Path(folder) / "tokens" / "part-00002.arrow").read_bytes())
    elif what == "kind":
        manifest.write_text(manifest.read_text().replace('"tokenize"', '"clean"'))
    elif what == "manifest":
        manifest.unlink()
    elif what == "tokenizer":
        manifest.write_text(manifest.read_text().replace('"tokenizer"', '"other"'))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shard", "part-00001.arrow: not a token shard"),
        ("cut", "part-00001.arrow: "),
        ("text", "part-00001.arrow: not a token shard"),
        ("other", "part-00001.arrow: .* documents in .* bytes; expected "),
        ("kind", "this is a clean run"),
        ("manifest", "no finished run"),
        ("tokenizer", "names no tokenizer"),
    ],
)
def test_a_spoilt_folder_is_one_line(tmp_path, what, message):
    """What is wrong with a token folder is said with its path in one line."""
    folder = write(tmp_path, "tok", [30, 40, 50, 60, 70, 80, 99])
    damage(folder, what)
    with pytest.raises(ForgeError, match=message) as caught:
        load(folder)
    assert folder in str(caught.value) and "\n" not in str(caught.value)


def test_what_cannot_be_asked(folder, tmp_path):
    """Missing and differing folders, empty splits, packings to come and wrong weights."""
    twin = write(tmp_path, "twin", [30] * 9, digest="another")
    small = write(tmp_path, "small", [30] * 9, first=20_000)
    cases = [
        (ForgeError, "no token folder is given", (), {}),
        (ForgeError, "no finished run", (str(tmp_path / "none"),), {}),
        (ForgeError, "tokenizer digest .*one tokenizer", (folder, twin), {}),
        (ForgeError, "holds the same data", (folder, folder), {}),
        (ForgeError, "heldout split holds none of the documents", (folder,), {"split": "heldout"}),
        (SpecError, "'row'.*bestfit|pairs", (folder,), {"packing": "row"}),
        (
            SpecError,
            "both weights and epochs",
            (folder,),
            {"weights": {"a": 1}, "epochs": {"a": 1}},
        ),
        (SpecError, "names 'x', no input", (folder,), {"weights": {"x": 1.0}}),
        (SpecError, "weight 0.0", (folder,), {"weights": {folder: 0.0}}),
        (SpecError, "leaves out", (folder, small), {"weights": {folder: 1.0}}),
    ]
    for kind, message, folders, changes in cases:
        with pytest.raises(kind, match=message) as caught:
            load(*folders, **changes)
        assert "\n" not in str(caught.value)
