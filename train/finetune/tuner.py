"""The loop: batches, steps, evaluations, early stop, and checkpoints that continue bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from corpusforge import spec as specs
from corpusforge.errors import RunError, SpecError
from corpusforge.spec.finetune import FinetuneSpec

from .. import checkpoint, lora, metrics, optim
from ..interrupt import Interrupt
from ..machine import device
from ..schedule import learning_rate
from .base import Base, Tuned, freeze
from .batches import batches
from .rows import Row
from .task import Item, Task

FOLDER = "tuning"  # of the checkpoints while it runs
Report = Callable[[dict[str, Any]], None]


def build(spec: FinetuneSpec, base: Base, task: Task) -> Tuned:
    """The model to train: adapters or frozen blocks, and the task's head."""
    if spec.adapter.rank:
        lora.adapt(base.model, spec.adapter, spec.run.seed)
    elif spec.freeze:
        layers = base.spec.model.layers
        if spec.freeze > layers:
            raise SpecError(
                f"freeze = {spec.freeze}", expected=f"at most {layers}, the model's blocks"
            )
        freeze(base.model, spec.freeze)
    return Tuned(base.model, task.outputs, spec.run.seed)


class Tuner:
    """Model, optimizer and place in the data of a run in the folder ``root``."""

    def __init__(
        self,
        root: Path,
        spec: FinetuneSpec,
        model: Tuned,
        task: Task,
        items: tuple[Sequence[Item], Sequence[Item]],
        heldout: Sequence[Row],
        digest: str,
        report: Callable[[int], Report],
    ) -> None:
        self.root, self.spec, self.task = root, spec, task
        self.items, self.held_items = items
        self.heldout, self.digest = heldout, digest
        self.device = device(spec.run.device)
        self.model = model.to(self.device)
        self.optimizer = optim.build(self.model, spec.optim)
        self.lengths = [len(item["tokens"]) for item in self.items]
        self.per_epoch = -(-len(self.items) // spec.run.batch)
        self.steps = spec.run.epochs * self.per_epoch
        self.report = report(self.steps)
        self.step = self.tokens = 0
        self.best: dict[str, Any] | None = None  # step and figures of the best evaluation
        self.worse = 0  # evaluations since it
        self._epoch = -1
        self._order: list[list[int]] = []
        self._resume()
        self.metrics = metrics.Metrics(root, self.step)

    @property
    def stopped(self) -> bool:
        """Whether evaluations have stopped getting better for as long as the spec allows."""
        return 0 < self.spec.patience <= self.worse

    def run(self, interrupt: Interrupt) -> None:
        """Train to the last step or the early stop; KeyboardInterrupt once a signal is saved."""
        settings = self.spec.run
        every = settings.evaluate_every or self.per_epoch
        while self.step < self.steps and not self.stopped:
            record = self._advance()
            last = self.step == self.steps
            better = False
            evaluated = bool(self.heldout) and (last or self.step % every == 0)
            if evaluated:
                figures, _ = evaluate(self.model, self.task, self.heldout, self.held_items,
                                      settings.batch, self.precision)  # fmt: skip
                record |= figures
                better = self._better(figures)
                self.worse = 0 if better else self.worse + 1
                if better:
                    self.best = {"step": self.step, **figures}
            if last or evaluated or self.step == 1 or self.step % settings.log_every == 0:
                self.metrics.append(record)
                self.report({**record, "steps": self.steps})
            end = last or self.stopped
            stop = interrupt.requested and not end
            if end or stop or better or self.step % settings.checkpoint_every == 0:
                self._save()
            if stop:
                raise KeyboardInterrupt

    def _better(self, figures: Mapping[str, float]) -> bool:
        name, sign = self.task.metric, 1 if self.task.higher else -1
        return self.best is None or sign * figures[name] > sign * self.best[name]

    @property
    def precision(self) -> torch.autocast:
        """Context of the forward pass."""
        bf16 = self.spec.run.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def _batch(self) -> list[Item]:
        epoch, place = divmod(self.step, self.per_epoch)
        if epoch != self._epoch:
            settings = self.spec.run
            self._order = batches(self.lengths, settings.batch, settings.seed, epoch)
            self._epoch = epoch
        return [self.items[at] for at in self._order[place]]

    def _advance(self) -> dict[str, Any]:
        items = self._batch()
        batch = self.task.batch(items, self.device)
        self.model.train()
        torch.manual_seed((self.spec.run.seed << 32 | self.step) & (1 << 64) - 1)  # dropout
        self.optimizer.zero_grad()
        with self.precision:
            scored = self.task.score(self.model, batch)
        mean = scored.total / max(scored.count, 1e-9)
        torch.autograd.backward(mean)
        norm = float(optim.clip(self.model.parameters(), self.spec.optim.clip))
        loss = mean.item()
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise RunError(
                f"step {self.step + 1}: loss {loss}, gradient norm {norm}", file=str(self.root),
                expected="finite numbers", remedy="lower optim.learning_rate, in another -o",
            )  # fmt: skip
        rate = learning_rate(self.step, self.steps, self.spec.optim)
        optim.set_rate(self.optimizer, rate)
        self.optimizer.step()
        self.step += 1
        self.tokens += int(batch["mask"].sum())
        return {
            "step": self.step, "loss": loss, "gradient_norm": norm, "learning_rate": rate,
            "tokens": self.tokens,
        }  # fmt: skip

    # -- state ---------------------------------------------------------------------------------

    def _values(self) -> dict[str, Any]:
        return {
            "spec": self.spec.model_dump(mode="json"), "data": self.digest,
            "task": self.task.memory(),
        }  # fmt: skip

    def _resume(self) -> None:
        folder = self.root / FOLDER
        checkpoint.sweep(folder)
        found, problems = checkpoint.newest(folder)
        for problem in problems:
            self.report({"message": problem})
        if found is None:
            return
        state = found.state()
        changed = specs.differences({key: state[key] for key in self._values()}, self._values())
        if changed:
            raise RunError(
                f"the checkpoint was made with other settings or rows: {', '.join(changed)[:300]}",
                file=str(found.path),
                remedy="choose another -o, the old ones, or --fresh to start anew",
            )
        self._load(found)
        optim.load_state(self.model, self.optimizer, found.optimizer())
        self.step, self.tokens = found.step, state["tokens"]
        self.best, self.worse = state["best"], state["worse"]
        self.report({"message": f"goes on after step {self.step}"})

    def _load(self, found: checkpoint.Checkpoint) -> None:
        """Take the trained parameters of a checkpoint; the others are the base model's."""
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, tensor in found.model().items():
                parameters[name].copy_(tensor)

    def _save(self) -> None:
        self.metrics.sync()
        trained = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        state = {
            "version": 1, "step": self.step, "tokens": self.tokens, "best": self.best,
            "worse": self.worse, **self._values(),
        }  # fmt: skip
        checkpoint.save(
            self.root / FOLDER, self.step, trained,
            optim.state_by_name(self.model, self.optimizer), state, keep=2,
            best=self.best["step"] if self.best else None,
        )  # fmt: skip

    def restore_best(self) -> int:
        """Give the model the weights of the best evaluation, or of the end; returns the step."""
        if self.best is None or self.best["step"] == self.step:
            return self.step
        step = int(self.best["step"])
        path = self.root / FOLDER / checkpoint.FOLDER / f"step-{step:06d}"
        self._load(checkpoint.Checkpoint(path, step))
        return step


def evaluate(
    model: Tuned,
    task: Task,
    rows: Sequence[Row],
    items: Sequence[Item],
    size: int,
    precision: Any,
) -> tuple[dict[str, float], list[Any]]:
    """Return the figures of labelled rows, heldout_loss first, and a prediction a row."""
    total, count, said = 0.0, 0.0, list[Any]()
    for outputs, part, scored in outputs_of(model, task, items, size, precision):
        total, count = total + float(scored.total), count + scored.count
        said += task.choose(outputs, part)
    found = task.join(rows, items, said)
    figures = {"heldout_loss": total / max(count, 1e-9)}
    if task.writes:
        figures["perplexity"] = metrics.perplexity(total, max(int(count), 1))
    return {**figures, **task.figures(rows, found)}, found


def outputs_of(model: Tuned, task: Task, items: Sequence[Item], size: int, precision: Any) -> Any:
    """Yield outputs, items and losses of each batch, in order."""
    where = next(model.parameters()).device
    model.eval()
    for start in range(0, len(items), size):
        part = items[start : start + size]
        with torch.no_grad(), precision:
            scored = task.score(model, task.batch(part, where))
        yield scored.outputs, part, scored
