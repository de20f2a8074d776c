"""The portable graphs of all stages: pinned, and small however many units there are.

When a graph changes on purpose, write golden/graphs.json anew:
`python tests/test_portable_graphs.py`.
"""

import json
import posixpath
import re
from pathlib import Path

import fsspec
import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf.json_format import MessageToJson
from pipeline_graphs import JOBS, ROOT, graph_of, names

GOLDEN = Path(__file__).parent / "golden/graphs.json"
MANY = 100_000
SMALL = 200_000  # bytes of JSON; a job request on Dataflow may have 20 MB


def pinned(graph):
    """What a runner sees of a graph, without what a version or a machine puts into it.

    A line a primitive transform, in the order they run: its name, kind, DoFn, what it reads, and
    the coders of what it makes.
    """
    parts = graph.components
    for environment in parts.environments.values():
        assert environment.urn == "beam:env:default:v1"  # the runner puts its own in its place
    for windowing in parts.windowing_strategies.values():
        assert windowing.window_fn.urn == "beam:window_fn:global_windows:v1"

    def coder(name):
        inner = ", ".join(map(coder, parts.coders[name].component_coder_ids))
        kind = re.match(r"ref_Coder_([A-Za-z]+)", name)[1]
        return f"{kind}({inner})" if inner else kind

    def said(name):
        return re.sub(r"\.py:\d+", ".py", name)

    def dofn(transform):
        for shown in transform.display_data:
            value = beam_runner_api_pb2.LabelledPayload.FromString(shown.payload)
            if value.key == "fn" and "corpusforge" in value.string_value:
                return value.string_value
        return ""

    found, stack = [], list(graph.root_transform_ids)
    while stack:
        transform = parts.transforms[stack.pop(0)]
        stack = [*transform.subtransforms, *stack]
        if transform.subtransforms or not transform.spec.urn:
            continue
        made = [parts.pcollections[name] for name in transform.outputs.values()]
        found.append(
            {
                "name": said(transform.unique_name),
                "kind": transform.spec.urn,
                "dofn": dofn(transform),
                "reads": [
                    said(re.sub(r"^\d+", "", parts.pcollections[name].unique_name))
                    for name in transform.inputs.values()
                ],
                "coders": [coder(one.coder_id) for one in made],
            }
        )
    return found


def test_graphs_are_as_pinned():
    """A change of a step, a shuffle or a coder shows here before a runner sees it."""
    expected = json.loads(GOLDEN.read_text())
    assert {job: pinned(graph_of(job)) for job in JOBS} == expected


def test_heavy_steps_come_after_a_shuffle_of_references():
    """Else a runner may fuse them with what names the units, and run all in one worker."""
    for steps in json.loads(GOLDEN.read_text()).values():
        names = [step["name"] for step in steps]
        own = [step["dofn"].rpartition(".")[2] for step in steps if step["dofn"]]
        assert own[0] == "Read"
        spread = names.index("references/spread/ReshufflePerKey/GroupByKey")
        assert names.index("references/read") < spread < names.index(steps[-1]["name"])


@pytest.mark.parametrize("job", JOBS)
def test_graphs_do_not_grow_with_units(job):
    """They hold the places of references, at most a thousand, never references."""
    one, many = (len(MessageToJson(graph_of(job, count))) for count in (1000, 5000))
    assert abs(many - one) < 10_000 and many < SMALL  # numbers of places get longer


def test_a_graph_of_many_units_is_small():
    """100,000 units with the paths of a crawl: the references are in the file, all of them."""
    fs = fsspec.filesystem("memory")
    assert len(MessageToJson(graph_of("documents", MANY))) < SMALL
    folder = posixpath.join(ROOT.partition("://")[2], "work", "references")
    lines = [fs.cat(path).splitlines() for path in fs.glob(f"{folder}/documents-*.jsonl")]
    assert {json.loads(line)["name"] for line in max(lines, key=len)} == set(names(MANY))


if __name__ == "__main__":
    graphs = {job: pinned(graph_of(job)) for job in JOBS}
    lines = [
        f'"{job}": [\n' + ",\n".join(map(json.dumps, steps)) + "\n]"
        for job, steps in graphs.items()
    ]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
