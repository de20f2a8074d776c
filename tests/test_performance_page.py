"""docs/performance.md is the last recorded benchmark of every stage and contestant.

Write it anew with ``python tests/test_performance_page.py``.
"""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE, RESULTS = ROOT / "docs/performance.md", ROOT / "benchmarks/results.jsonl"
HEAD = """# Performance

Written by `tests/test_performance_page.py` from `benchmarks/results.jsonl`, to which `make bench`
appends: the last recorded run of each stage. All contestants of a stage did the same work on the
same machine, in turns, each in a process of its own; what counts is the ratio (median of the
rounds, with the smallest and the largest), by CPU-seconds.
"""
FORGE = "forge"


def last():
    """The last results of each stage, by contestant."""
    runs = {}
    for line in RESULTS.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        runs.setdefault(one["stage"], {}).setdefault(one["date"], {})[one["contestant"]] = one
    return {stage: dates[max(dates)] for stage, dates in runs.items()}


def reference():
    """The page."""
    parts = [HEAD]
    for stage, found in last().items():
        any_one = next(iter(found.values()))
        machine = any_one["machine"]
        parts.append(
            f"## {stage}\n\n{any_one['date'][:10]}, commit {any_one['commit']}, {machine['system']}"
            f" {machine['machine']}, {machine['cores']} cores, Python {machine['python']}, load"
            f" {machine['load']}; data: {', '.join(any_one['data'])}.\n"
        )
        rows = ["| who | a CPU-second | forge is | peak memory |", "|---|---|---|---|"]
        for name, one in found.items():
            speed = ", ".join(f"{_number(n)} {what}" for what, n in one["per_cpu_second"].items())
            times = one.get("forge_is") or {}
            ratio = "{median:.2f} times ({min:.2f} to {max:.2f})".format(**times) if times else ""
            memory = f"{one['peak_mib']:,.0f} MiB" if one.get("peak_mib") else ""
            rows.append(f"| {name} | {speed} | {'' if name == FORGE else ratio} | {memory} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def test_the_page_is_up_to_date():
    """Regenerated, it is the same."""
    assert PAGE.read_text(encoding="utf-8") == reference()


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
