"""The training loop: resume, step, log, evaluate, save. A function of (data, spec) alone.

Every source of randomness is keyed by (seed, step), the loader's order by (seed, position), so a
run that is killed at any moment and started again ends in the same bits as one that was not. It
knows no objective by name and no clock: rates are in the metrics where the caller lends one.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from corpusforge import spec as specs
from corpusforge.errors import Diverged, RunError
from corpusforge.loader import Batch, TokenLoader
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from . import checkpoint, metrics, optim, speed, spikes, word_vectors
from .attribution import Pieces
from .evaluate import heldout, heldout_loader
from .examples import examples
from .interrupt import Interrupt
from .machine import device, threads
from .objectives import objective, tensors
from .parallel import Layout, placement
from .result import result
from .safetensors_stream import in_order
from .schedule import learning_rate
from .seeds import key

Progress = Callable[[dict[str, Any]], None]

PLANS = "plans"
TOKENIZER = "tokenizer"
SAMPLES = 1  # held-out rows that a model is shown at each evaluation


def train(
    folders: Sequence[str],
    out: str,
    spec: TrainSpec,
    *,
    workers: int = 1,
    quiet: bool = True,
    progress: Progress | None = None,
    clock: speed.Clock | None = None,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Train on token folders in the folder ``out``, or go on there; returns the figures.

    Args:
        workers: loader workers. A batch takes well under a millisecond of the process's own time,
            so none is started; the order of the data does not depend on their number.
        quiet: without ``progress``, whether to leave out the line a logged step on stderr.
        progress: called with each logged record ({"step", "steps", "tokens", "loss", ...}) and
            with {"message": ...}.
        clock: seconds; with it the records have tokens_per_second and mfu.
        layout: this process's place among others; None: it is alone.

    Returns:
        steps, tokens (targets learned from), parameters, first_loss, last_loss, heldout_loss,
        perplexity and bits_per_byte of held-out text (None without held-out documents),
        epochs (how often each stream of the mixture was read; "" is the whole),
        checkpoint (path under ``out``), continuations (strings). Nothing but in the first process.

    Raises KeyboardInterrupt after SIGINT or SIGTERM, when the state is saved; RunError for a
    checkpoint of another spec or data, Diverged for a loss that is not finite.
    """
    report = progress or (_silent if quiet else _print)
    with threads(spec.run.threads), Interrupt() as interrupt:
        trainer = Trainer(folders, Path(out), spec, report, clock, layout or Layout())
        try:
            trainer.run(interrupt)
        finally:
            trainer.close()
        return result(trainer) if trainer.layout.first else {}


def training_rows(
    folders: Sequence[str],
    spec: TrainSpec,
    plan_folder: str | None,
    around: tuple[int, int] = (0, 0),
) -> TokenLoader:
    """Batches of the training split, as a run of ``spec`` reads them."""
    return TokenLoader.open(
        folders,
        sequence=spec.data.sequence,
        batch=spec.run.batch,
        seed=spec.data.seed,
        packing=spec.data.packing,
        split="train",
        heldout=spec.data.heldout,
        plan_folder=plan_folder,
        weights=spec.weights,
        epochs=spec.epochs,
        by=spec.data.by,
        block=spec.data.block,
        around=around,
    )


class Trainer:
    """Model, optimizer, loader and metrics at one step of a run in the folder ``root``."""

    def __init__(
        self,
        folders: Sequence[str],
        root: Path,
        spec: TrainSpec,
        report: Progress,
        clock: speed.Clock | None = None,
        layout: Layout | None = None,
    ) -> None:
        self.root, self.spec = root, spec
        self.layout = layout = layout or Layout()
        self.slices = layout.slices(spec)
        self.report = report if layout.first else _silent
        self.objective = goal = objective(spec, Tokenizer.load(str(Path(folders[0], TOKENIZER))))
        if layout.first:
            self._read(folders)
        layout.tell(1)  # the plans are written
        if not layout.first:
            self._read(folders)
        self.model = goal.build(spec, self.loader.tokens.tokenizer["vocab_size"])
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.device = device(spec.run.device)
        self.found: float | None = None  # share of the tokens that start from word vectors
        if spec.vectors.file:
            self._vectors(goal.tokenizer)
        self.step = self.tokens = 0
        self.checkpoint: checkpoint.Checkpoint | None = None
        self.history = spikes.History()
        self.best: tuple[int, float] | None = None  # step and held-out loss
        self._resume()
        self.model.to(self.device)
        self.model.recompute = spec.run.recompute
        self.rates = None
        if clock and layout.first:
            dtype = torch.bfloat16 if spec.run.precision == "bf16" else torch.float32
            self.rates = speed.Rates(self.model, self.device, dtype, clock, layout.world)
        self.placement = placement(self.model, spec, layout)
        if self.checkpoint:
            with torch.no_grad():
                self.placement.load(self.checkpoint)
        self.optimizer = self.placement.optimizer
        goal.vocabulary = self.placement.vocabulary
        if spec.run.compile:
            self.model.compile()
        self.metrics: metrics.Metrics | metrics.NoMetrics = metrics.NoMetrics()
        self.spikes: metrics.Metrics | metrics.NoMetrics = metrics.NoMetrics()
        if layout.first:
            self.metrics = metrics.Metrics(root, self.step)
            self.spikes = metrics.Metrics(root, self.step, spikes.NAME)
            self._adopt_tokenizer(self.loader.tokens.folders[0])

    def _read(self, folders: Sequence[str]) -> None:
        """Open the rows; the first process writes the plans that are not there."""
        spec, plans, around = self.spec, str(self.root / PLANS), self.objective.around
        self.loader = training_rows(folders, spec, plans, around)
        self.heldout = (
            heldout_loader(folders, spec, plans, around, self.slices) if spec.data.heldout else None
        )

    # -- loop ----------------------------------------------------------------------------------

    def run(self, interrupt: Interrupt) -> None:
        """Train to the last step; raises KeyboardInterrupt once an interrupt is saved."""
        settings = self.spec.run
        self.model.train()
        while self.step < settings.steps:
            record, pieces = self._advance()
            if self.layout.first:
                self._watch(record, pieces)
            last = self.step == settings.steps
            evaluated = self.heldout is not None and (
                last or self.step % settings.evaluate_every == 0
            )
            if evaluated:
                record |= self._evaluate()
                better = self.best is None or record["heldout_loss"] < self.best[1]
                if better:
                    self.best = (self.step, record["heldout_loss"])
            if last or evaluated or self.step == 1 or self.step % settings.log_every == 0:
                self._log(record, pieces)
            stop = self.layout.any(interrupt.requested) and not last
            best = settings.keep_best and evaluated and better
            if last or stop or best or self.step % settings.checkpoint_every == 0:
                self._save()
            if stop:
                raise KeyboardInterrupt

    def close(self) -> None:
        """Close the files of metrics and spikes."""
        self.metrics.close()
        self.spikes.close()

    def _log(self, record: dict[str, Any], pieces: Callable[[], Pieces]) -> None:
        """Write and report a step; the first process's work."""
        if not self.layout.first:
            return
        record["loss_by_source"] = pieces().losses(self.loader, "source")
        if "heldout_loss" in record and self.heldout and self.placement.entire:
            seed = self.spec.run.seed
            record["samples"] = examples(self.objective, self.model, self.heldout, SAMPLES, seed)
        if self.rates:
            record |= self.rates.since(self.tokens)
        self.metrics.append(record)
        self.report({**record, "steps": self.spec.run.steps})

    def _watch(self, record: dict[str, Any], pieces: Callable[[], Pieces]) -> None:
        """Write a step that is a spike, with its documents of the highest loss."""
        found = self.history.add(record["loss"], record["gradient_norm"])
        if found:
            worst = pieces().worst(self.loader, spikes.DOCUMENTS)
            self.spikes.append({**record, **found, "documents": worst})

    def _advance(self) -> tuple[dict[str, Any], Callable[[], Pieces]]:
        """Make one optimizer step on the next batch; its record, and its losses by piece."""
        settings, goal, layout = self.spec.run, self.objective, self.layout
        batch = next(self.loader)
        size = settings.batch // self.slices
        parts = [batch.part(slice(start, start + size)) for start in range(0, settings.batch, size)]
        mine = layout.mine(self.slices)
        arrays = {number: goal.prepare(parts[number]) for number in mine}
        rows = {number: tensors(arrays[number], slice(None), self.device) for number in mine}
        # Divided by the targets of the whole batch: slices differ in how many they hold.
        counts = [goal.count(rows[number]) for number in mine]
        held = layout.gathered([torch.tensor([*count.values()]) for count in counts])
        targets = dict(zip(goal.labels, torch.stack(held).sum(0).tolist(), strict=True))
        sums, losses = [], []
        self.placement.begin()
        for number in mine:
            # dropout: whoever computes the slice draws the same
            torch.manual_seed(key(settings.seed, self.step * self.slices + number))
            with self._precision():
                scored = goal.losses(goal.heads(self.model, rows[number]), rows[number])
            part = sum(scored[label].total / max(targets[label], 1) for label in goal.labels)
            torch.autograd.backward(part)
            self.placement.after_backward()
            sums.append(part.detach())
            losses.append(scored[goal.labels[0]].nll.detach().float())
        loss = sum(part.item() for part in layout.gathered(sums))
        nll = layout.gathered(losses)
        norm = self.placement.clip(self.spec.optim.clip)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise self._not_finite(loss, norm, batch)
        rate = learning_rate(self.step, settings.steps, self.spec.optim)
        optim.set_rate(self.optimizer, rate)
        self.placement.step()
        self.step += 1
        self.tokens += targets[goal.labels[0]]
        record = {
            "step": self.step,
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": rate,
            "tokens": self.tokens,
        }

        def pieces() -> Pieces:
            found = []
            for number, part in enumerate(parts):
                prepared = arrays[number] if number in arrays else goal.prepare(part)
                found.append(Pieces.of(self.loader, part, prepared, nll[number].numpy()))
            return Pieces.joined(found)

        return record, pieces

    def _precision(self) -> torch.autocast:
        bf16 = self.spec.run.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def _evaluate(self) -> dict[str, Any]:
        assert self.heldout is not None
        rows = self.spec.run.evaluate_rows
        return heldout(self.model, self.objective, self.heldout, rows)

    def _not_finite(self, loss: float, norm: float, batch: Batch) -> RunError:
        pieces = self.loader.documents(batch.rows, batch.epochs)
        names = [
            row["url"] or row["source_id"] or row["id"].hex()
            for row in pieces.select(["url", "source_id", "id"]).slice(0, 3).to_pylist()
        ]
        good = f"{checkpoint.FOLDER}/{self.checkpoint.path.name}" if self.checkpoint else "none"
        return Diverged(
            f"step {self.step + 1}: loss {loss}, gradient norm {norm}; it read {len(pieces)} "
            f"pieces of documents ({', '.join(names)}, ...); last good checkpoint: {good}",
            file=str(self.root),
            expected="finite numbers",
            remedy="lower optim.learning_rate or set optim.clip, in another -o",
        )

    # -- state ---------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Load the newest checkpoint that verifies, if there is one, and check that it is ours."""
        step = -1
        if self.layout.first:
            checkpoint.sweep(self.root)
            newest, problems = checkpoint.newest(self.root)
            for problem in problems:
                self.report({"message": problem})
            step = newest.step if newest else -1
        step = self.layout.tell(step)
        if step < 0:
            return
        found = checkpoint.at(self.root, step)
        state = found.state()
        changed = specs.differences(state["spec"], self._spec())
        if changed:
            raise RunError(
                f"the checkpoint was made with another spec: {', '.join(changed)}",
                file=str(found.path),
                remedy="choose another -o, the old settings, or --fresh to start anew",
            )
        self.loader.load_state(state["loader"])
        self.model.load_state_dict(found.model())
        self.step, self.tokens, self.checkpoint = found.step, state["tokens"], found
        self.history = spikes.History(state["history"])
        self.best = tuple(state["best"]) if state["best"] else None
        self.report({"message": f"goes on after step {self.step}"})

    @torch.no_grad()
    def _save(self) -> None:
        weights, state = self.placement.parameters(), self.placement.state()
        if not self.layout.first:
            for entries in (weights, state):
                for name in in_order(entries):
                    entries[name].read()  # the first process puts it together
            self.checkpoint = checkpoint.at(self.root, self.step)
            return
        self.metrics.sync()
        self.spikes.sync()
        self.checkpoint = checkpoint.save(
            self.root,
            self.step,
            weights,
            state,
            {
                "version": 1,
                "step": self.step,
                "tokens": self.tokens,
                "history": list(self.history.steps),
                "best": self.best,
                "loader": self.loader.state(),
                "tokenizer": dict(self.loader.tokens.tokenizer),
                "spec_digest": specs.digest(self.spec),
                "spec": self._spec(),
            },
            keep=self.spec.run.keep_checkpoints,
            best=self.best[0] if self.best and self.spec.run.keep_best else None,
        )

    def _vectors(self, tokenizer: Tokenizer) -> None:
        """Start the table of tokens from word vectors, and freeze it if the spec says so."""
        settings = self.spec.vectors
        seed = self.spec.run.seed
        self.found = word_vectors.start_from(self.model, tokenizer, settings.file, seed)
        self.model.tokens.weight.requires_grad_(not settings.freeze)
        self.report({"message": f"{self.found:.1%} of the tokens start from {settings.file}"})

    def _spec(self) -> dict[str, Any]:
        """The spec without paths: the data are known by their digest."""
        return self.spec.model_dump(mode="json", exclude={"inputs", "weights", "epochs"})

    def _adopt_tokenizer(self, folder: str) -> None:
        """Keep the tokenizer with the model, so that its folder stands alone."""
        if (self.root / TOKENIZER).exists():
            return
        temporary = self.root / f"{TOKENIZER}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(Path(folder, TOKENIZER), temporary)
        temporary.rename(self.root / TOKENIZER)


def _silent(record: dict[str, Any]) -> None:
    """Report nothing."""


def _print(record: dict[str, Any]) -> None:
    """Report a record as a line on stderr."""
    if "message" in record:
        print(f"train: {record['message']}", file=sys.stderr, flush=True)
        return
    line = f"train: step {record['step']}/{record['steps']} · loss {record['loss']:.3f}"
    if "perplexity" in record:
        line += f" · held-out perplexity {record['perplexity']:.1f}"
    print(line, file=sys.stderr, flush=True)
