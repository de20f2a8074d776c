"""The trainer against Hugging Face's: its Trainer with GPT2LMHeadModel and fused AdamW.

    python benchmarks/trainer.py                  60 steps, 5 rounds, fp32 and bf16
    python benchmarks/trainer.py --rounds 1 --steps 50

Both start from the same weights and read the same batches (16 rows of 256 tokens of the sample;
4 layers, width 256, 8192 tokens; AdamW 1e-3, betas 0.9 and 0.95, decay 0.1, clipping at 1), in one
thread. A round runs every contestant once, each in a process of its own; ratios are taken within a
round. CPU seconds are those of the steps after the first two; ours are of the whole loop as
`forge train` runs it, its loader, metrics and losses by source included. Peak RSS is that of the
process. ``loss gap`` is the largest difference of the loss at any step to the Trainer's. Masked:
the same rows with attention inside documents, which the Trainer has not.
"""

from __future__ import annotations

import argparse
import json
import resource
import runpy
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROWS, SEQUENCE, WARM = 16, 256, 2
MEGABYTES = 4.0  # of text
CONTESTANTS = ("forge", "forge_masked", "transformers")
PRECISIONS = ("fp32", "bf16")


def spec_of(precision: str, masked: bool, steps: int) -> Any:
    """Return the TrainSpec of our side."""
    from corpusforge import spec as specs

    return specs.parse(
        specs.TrainSpec,
        {
            "model": {"position": "learned", "activation": "gelu-tanh"},
            "data": {
                "sequence": SEQUENCE, "packing": "chop", "heldout": 0.0, "document_mask": masked,
            },
            "optim": {"learning_rate": 1e-3, "schedule": "constant", "warmup": 0.0},
            "run": {
                "steps": steps, "batch": ROWS, "precision": precision, "threads": 1,
                "device": "cpu", "checkpoint_every": steps,
            },
        },
    )  # fmt: skip


def prepare(folder: Path, steps: int, data: list[str]) -> None:
    """Write tokens of the sample, the batches as arrays, and a GPT2 folder of the start weights."""
    import numpy as np
    from safetensors.torch import save_file

    from corpusforge import api
    from corpusforge import spec as specs
    from corpusforge.tokenizer import Tokenizer
    from corpusforge.train.export.gpt2 import GPT2
    from corpusforge.train.objectives.causal import Causal
    from corpusforge.train.trainer import training_rows

    inputs = runpy.run_path(str(HERE / "inputs.py"))
    inputs["make"]("texts", folder / "texts.jsonl", MEGABYTES, data)
    asked = specs.parse(specs.TokenizeSpec, {"vocab_size": 8192})
    api.tokenize([str(folder / "texts.jsonl")], str(folder / "tok"), asked, workers=1)
    spec = spec_of("fp32", False, steps)
    loader = training_rows([str(folder / "tok")], spec, str(folder / "plans"))
    batches = [next(loader) for _ in range(steps)]
    np.save(folder / "inputs.npy", np.concatenate([batch.inputs for batch in batches]))
    np.save(folder / "targets.npy", np.concatenate([batch.targets for batch in batches]))
    model, tokenizer = Causal.build(spec, 8192), Tokenizer.load(str(folder / "tok/tokenizer"))
    ours = model.state_dict()
    import torch

    tensors = {
        name: torch.cat([part.there(ours[part.ours]) for part in parts], -1).contiguous()
        for name, parts in GPT2.tensors(spec.model).items()
    }
    (folder / "gpt2").mkdir()
    save_file(tensors, folder / "gpt2/model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
    config |= GPT2.config(spec, 8192, tokenizer)
    (folder / "gpt2/config.json").write_text(json.dumps(config))


def cpu() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def forge(folder: Path, precision: str, steps: int, masked: bool = False) -> dict[str, Any]:
    """Our trainer, its loop as it is."""
    from corpusforge.train.trainer import train

    losses, seconds = [], []

    def progress(record: dict[str, Any]) -> None:
        if "loss" in record:
            losses.append(record["loss"])
            seconds.append(cpu())

    with tempfile.TemporaryDirectory() as out:
        spec = spec_of(precision, masked, steps)
        train([str(folder / "tok")], out, spec, progress=progress)
    return {"losses": losses, "seconds": seconds}


def transformers(folder: Path, precision: str, steps: int) -> dict[str, Any]:
    """Hugging Face's Trainer."""
    import numpy as np
    import torch
    from transformers import GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

    torch.set_num_threads(1)
    inputs, targets = (np.load(folder / f"{name}.npy") for name in ("inputs", "targets"))
    losses, seconds = [], []

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(inputs)

        def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
            labels = torch.from_numpy(targets[row])  # already shifted
            ids = torch.from_numpy(inputs[row])
            return {"input_ids": ids, "labels": labels, "shift_labels": labels}

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **settings: Any) -> Any:
            loss = super().compute_loss(*args, **settings)
            losses.append(loss.item())
            return loss

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(cpu())

    model = GPT2LMHeadModel.from_pretrained(
        folder / "gpt2", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False
    )
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            output_dir=out, max_steps=steps, per_device_train_batch_size=ROWS,
            learning_rate=1e-3, lr_scheduler_type="constant", weight_decay=0.1, adam_beta1=0.9,
            adam_beta2=0.95, max_grad_norm=1.0, optim="adamw_torch_fused", use_cpu=True,
            bf16=precision == "bf16", logging_strategy="no", save_strategy="no", report_to="none",
            remove_unused_columns=False, dataloader_pin_memory=False, disable_tqdm=True,
        )  # fmt: skip
        trainer = InOrder(
            model=model, args=arguments, train_dataset=Rows(), callbacks=[Clock()]
        )  # fmt: skip
        trainer.train()
    return {"losses": losses, "seconds": seconds}


def child(who: str, precision: str, folder: Path, steps: int) -> dict[str, Any]:
    """Run one contestant: losses by step, and tokens a CPU second after the first steps."""
    if who == "transformers":
        found = transformers(folder, precision, steps)
    else:
        found = forge(folder, precision, steps, who == "forge_masked")
    spent = found["seconds"][-1] - found["seconds"][WARM - 1]
    tokens = (steps - WARM) * ROWS * SEQUENCE
    return {"losses": found["losses"], "tokens_per_cpu_second": tokens / spent}


def summary(runs: dict[str, list[dict[str, Any]]], who: str) -> dict[str, Any]:
    """Medians of the rounds of a contestant, and ours against the Trainer's within rounds."""
    mine, theirs = runs[who], runs["transformers"]

    def ratio(key: str) -> dict[str, float]:
        pairs = [a[key] / b[key] for a, b in zip(mine, theirs, strict=True)]
        return {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}

    gaps = [abs(a - b) for a, b in zip(mine[0]["losses"], theirs[0]["losses"], strict=True)]
    return {
        "tokens_per_cpu_second": statistics.median(run["tokens_per_cpu_second"] for run in mine),
        "peak_mib": statistics.median(run["peak_mib"] for run in mine),
        "speed_against_trainer": ratio("tokens_per_cpu_second"),
        "peak_against_trainer": ratio("peak_mib"),
        "loss_gap": max(gaps),
        "losses": mine[0]["losses"],
    }


def main() -> int:
    """Run the rounds that the command line asks for; print a table, append to the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--steps", type=int, default=60, metavar="N")
    parser.add_argument("--precision", choices=PRECISIONS, action="append")
    parser.add_argument("--data", nargs="+", default=[str(HERE.parent / "sample_data")])
    parser.add_argument("--python", metavar="FILE", help="interpreter that has transformers")
    parser.add_argument("--results", default=str(HERE / "results.jsonl"), metavar="FILE")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, precision, folder = arguments.child
        if who == "prepare":
            prepare(Path(folder), arguments.steps, arguments.data)
        else:
            print("\n" + json.dumps(child(who, precision, Path(folder), arguments.steps)))
        return 0
    bench = runpy.run_path(str(HERE / "run.py"))
    peer = arguments.python or bench["python_of"]("trainer")
    script = [str(Path(__file__).resolve()), "--steps", str(arguments.steps)]
    print(f"{'':<6}{'':<14}{'tokens/CPU-s':>13}{'peak MiB':>10}  against the Trainer", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        given = ["--child", "prepare", "", folder, "--data", *arguments.data]
        bench["_run"]([sys.executable, *script, *given], "cannot make the input")
        for precision in arguments.precision or PRECISIONS:
            runs: dict[str, list[dict[str, Any]]] = {who: [] for who in CONTESTANTS}
            for _ in range(arguments.rounds):
                for who in CONTESTANTS:
                    python = peer if who == "transformers" else sys.executable
                    command = [python, *script, "--child", who, precision, folder]
                    output, peak = bench["_run"](command, f"{who} failed")
                    runs[who].append({**json.loads(output.splitlines()[-1]), "peak_mib": peak})
            for who in CONTESTANTS:
                found = summary(runs, who)
                speed, memory = found["speed_against_trainer"], found["peak_against_trainer"]
                note = (
                    f"{speed['median']:.2f}x ({speed['min']:.2f} to {speed['max']:.2f}), "
                    f"{memory['median']:.2f} of the memory, loss gap {found['loss_gap']:.1e}"
                )
                print(
                    f"{precision:<6}{who:<14}{found['tokens_per_cpu_second']:>13,.0f}"
                    f"{found['peak_mib']:>10,.0f}  {'' if who == 'transformers' else note}",
                    flush=True,
                )
                about = {
                    "date": datetime.now(UTC).isoformat(timespec="seconds"),
                    "machine": bench["machine"](), "commit": bench["commit"](),
                    "stage": f"trainer-{precision}", "contestant": who,
                    "steps": arguments.steps, "rounds": arguments.rounds,
                }  # fmt: skip
                with Path(arguments.results).open("a", encoding="utf-8") as results:
                    results.write(json.dumps({**about, **found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
