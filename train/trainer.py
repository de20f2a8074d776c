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

import numpy as np
import torch

from corpusforge import spec as specs
from corpusforge.errors import Diverged, RunError
from corpusforge.loader import Batch, TokenLoader
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from . import checkpoint, metrics, optim, speed, spikes, word_vectors
from .attribution import Pieces
from .evaluate import heldout, heldout_loader
from .interrupt import Interrupt
from .machine import device, threads
from .objectives import objective, tensors
from .result import result
from .schedule import learning_rate
from .seeds import key

Progress = Callable[[dict[str, Any]], None]

PLANS = "plans"
TOKENIZER = "tokenizer"


def train(
    folders: Sequence[str],
    out: str,
    spec: TrainSpec,
    *,
    workers: int = 1,
    quiet: bool = True,
    progress: Progress | None = None,
    clock: speed.Clock | None = None,
) -> dict[str, Any]:
    """Train on token folders in the folder ``out``, or go on there; returns the figures.

    Args:
        workers: loader workers. A batch takes well under a millisecond of the process's own time,
            so none is started; the order of the data does not depend on their number.
        quiet: without ``progress``, whether to leave out the line a logged step on stderr.
        progress: called with each logged record ({"step", "steps", "tokens", "loss", ...}) and
            with {"message": ...}.
        clock: seconds; with it the records have tokens_per_second and mfu.

    Returns:
        steps, tokens (targets learned from), parameters, first_loss, last_loss, heldout_loss,
        perplexity and bits_per_byte of held-out text (None without held-out documents),
        epochs (how often each stream of the mixture was read; "" is the whole),
        checkpoint (path under ``out``), continuations (strings).

    Raises KeyboardInterrupt after SIGINT or SIGTERM, when the state is saved; RunError for a
    checkpoint of another spec or data, Diverged for a loss that is not finite.
    """
    report = progress or (_silent if quiet else _print)
    with threads(spec.run.threads), Interrupt() as interrupt:
        trainer = Trainer(folders, Path(out), spec, report, clock)
        try:
            trainer.run(interrupt)
        finally:
            trainer.close()
        return result(trainer)


def training_rows(
    folders: Sequence[str],
    spec: TrainSpec,
    plan_folder: str,
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
    ) -> None:
        self.root, self.spec, self.report = root, spec, report
        plans = str(root / PLANS)
        self.objective = goal = objective(spec, Tokenizer.load(str(Path(folders[0], TOKENIZER))))
        self.loader = training_rows(folders, spec, plans, goal.around)
        self.heldout = (
            heldout_loader(folders, spec, plans, goal.around) if spec.data.heldout else None
        )
        self.model = goal.build(spec, self.loader.tokens.tokenizer["vocab_size"])
        self.device = device(spec.run.device)
        self.found: float | None = None  # share of the tokens that start from word vectors
        if spec.vectors.file:
            self._vectors(goal.tokenizer)
        self.model.to(self.device)
        self.model.recompute = spec.run.recompute
        self.optimizer = optim.build(self.model, spec.optim)
        self.step = self.tokens = 0
        self.checkpoint: checkpoint.Checkpoint | None = None
        self.history = spikes.History()
        self.best: tuple[int, float] | None = None  # step and held-out loss
        self._resume()
        if spec.run.compile:
            self.model.compile()
        self.metrics = metrics.Metrics(root, self.step)
        self.spikes = metrics.Metrics(root, self.step, spikes.NAME)
        dtype = torch.bfloat16 if spec.run.precision == "bf16" else torch.float32
        self.rates = speed.Rates(self.model, self.device, dtype, clock) if clock else None
        self._adopt_tokenizer(self.loader.tokens.folders[0])

    # -- loop ----------------------------------------------------------------------------------

    def run(self, interrupt: Interrupt) -> None:
        """Train to the last step; raises KeyboardInterrupt once an interrupt is saved."""
        settings = self.spec.run
        self.model.train()
        while self.step < settings.steps:
            record, pieces = self._advance()
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
                record["loss_by_source"] = pieces().losses(self.loader, "source")
                if self.rates:
                    record |= self.rates.since(self.tokens)
                self.metrics.append(record)
                self.report({**record, "steps": settings.steps})
            stop = interrupt.requested and not last
            best = settings.keep_best and evaluated and better
            if last or stop or best or self.step % settings.checkpoint_every == 0:
                self._save()
            if stop:
                raise KeyboardInterrupt

    def close(self) -> None:
        """Close the files of metrics and spikes."""
        self.metrics.close()
        self.spikes.close()

    def _watch(self, record: dict[str, Any], pieces: Callable[[], Pieces]) -> None:
        """Write a step that is a spike, with its documents of the highest loss."""
        found = self.history.add(record["loss"], record["gradient_norm"])
        if found:
            worst = pieces().worst(self.loader, spikes.DOCUMENTS)
            self.spikes.append({**record, **found, "documents": worst})

    def _advance(self) -> tuple[dict[str, Any], Callable[[], Pieces]]:
        """Make one optimizer step on the next batch; its record, and its losses by piece."""
        settings, goal = self.spec.run, self.objective
        batch = next(self.loader)
        arrays = goal.prepare(batch)
        size = settings.batch // settings.accumulate
        slices = [
            tensors(arrays, slice(start, start + size), self.device)
            for start in range(0, settings.batch, size)
        ]
        # Divided by the targets of the whole batch: slices differ in how many they hold.
        counts = [goal.count(rows) for rows in slices]
        targets = {label: sum(count[label] for count in counts) for label in goal.labels}
        loss = 0.0
        losses = []
        self.optimizer.zero_grad()
        for number, rows in enumerate(slices, self.step * settings.accumulate):
            torch.manual_seed(key(settings.seed, number))  # dropout, whoever computes the slice
            with self._precision():
                scored = goal.losses(goal.heads(self.model, rows), rows)
            part = sum(scored[label].total / max(targets[label], 1) for label in goal.labels)
            torch.autograd.backward(part)
            loss += part.item()
            losses.append(scored[goal.labels[0]].nll.detach())
        norm = float(optim.clip(self.model.parameters(), self.spec.optim.clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise self._not_finite(loss, norm, batch)
        rate = learning_rate(self.step, settings.steps, self.spec.optim)
        optim.set_rate(self.optimizer, rate)
        self.optimizer.step()
        self.step += 1
        self.tokens += targets[goal.labels[0]]
        record = {
            "step": self.step,
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": rate,
            "tokens": self.tokens,
        }
        return record, lambda: Pieces.of(self.loader, batch, arrays, _numpy(losses))

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
        checkpoint.sweep(self.root)
        found, problems = checkpoint.newest(self.root)
        for problem in problems:
            self.report({"message": problem})
        if found is None:
            return
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
        optim.load_state(self.model, self.optimizer, found.optimizer())
        self.step, self.tokens, self.checkpoint = found.step, state["tokens"], found
        self.history = spikes.History(state["history"])
        self.best = tuple(state["best"]) if state["best"] else None
        self.report({"message": f"goes on after step {self.step}"})

    def _save(self) -> None:
        self.metrics.sync()
        self.spikes.sync()
        self.checkpoint = checkpoint.save(
            self.root,
            self.step,
            self.model.state_dict(),
            optim.state_by_name(self.model, self.optimizer),
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


def _numpy(losses: list[torch.Tensor]) -> np.ndarray:
    """Slices [b, S] -> float32 [B, S]."""
    return np.concatenate([part.float().cpu().numpy() for part in losses])


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
