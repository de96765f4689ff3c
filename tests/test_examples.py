"""The estimators of examples/: what they claim, and their overlay through the workflow."""

import runpy
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from projects import Project

from fgrad import plugins
from fgrad.experiments import own
from fgrad.plan import read

HOME = Path(__file__).parents[1]
EXAMPLES = HOME / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))
KINDS = {
    "orthonormal": "sampler", "hadamard": "sampler", "biased": "sampler", "spsa": "estimator",
    "forward_differences": "estimator", "best_of_k": "aggregation",
}  # fmt: skip

NAMES = {"biased": "Biased"}
"""In its file, where it is not called as that is."""


def of(name: str):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))[NAMES.get(name, name)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_short_cites_its_source_and_is_what_it_should_be(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert "\nSource: " in text
    plugins._in_use.forget()
    try:
        reference = f"{path.name}:{NAMES.get(path.stem, path.stem)}"
        plugins.use(plugins.collect(reference, EXAMPLES))
        own.check(KINDS[path.stem], reference)
    finally:
        plugins._in_use.forget()


def test_every_one_is_in_the_overlay():
    used = set(plugins.references(read.read(EXAMPLES / "estimators.yaml")))
    assert {name.partition(":")[0] for name in used} == {path.name for path in FILES}


@pytest.mark.parametrize(("name", "length"), [("orthonormal", 1.0), ("hadamard", 4.0)])
def test_tangents_are_orthogonal(name, length):
    generator = torch.Generator().manual_seed(0)
    v = of(name)((50, 5, 16), generator, dtype=torch.float64)
    torch.testing.assert_close(v @ v.mT, (length**2 * torch.eye(5, dtype=v.dtype)).expand(50, 5, 5))
    assert len(v.flatten(1).unique(dim=0)) == 50
    alone = of(name)((16, 16), generator, dtype=torch.float64)
    torch.testing.assert_close(alone.mT @ alone, length**2 * torch.eye(16, dtype=v.dtype))
    with pytest.raises(ValueError, match="k = 17"):
        of(name)((17, 16), generator, dtype=torch.float64)


@pytest.mark.parametrize("name", ["spsa", "forward_differences"])
def test_differences_are_unbiased_but_for_their_step(name):
    """Of a quadratic function, whose central differences are exact."""
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    g = of(name)(
        lambda x: (scale * x.square()).sum(-1), x, 400_000, torch.Generator().manual_seed(0)
    )
    error = (g - 2 * scale * x).abs().max()
    assert error < 6 * float((2 * scale * x).norm()) * 2 / 400_000**0.5  # variance ≤ 2 ‖∇f‖²/k


def test_the_best_of_k_is_a_projection_onto_the_nearest_tangent():
    v = torch.randn(20, 4, 9, dtype=torch.float64)
    gradient = torch.randn(20, 9, dtype=torch.float64)
    c = of("best_of_k")(v, (v @ gradient[..., None])[..., 0])
    g = (c[:, None] @ v)[:, 0]
    cosines = torch.nn.functional.cosine_similarity(v, gradient[:, None], dim=-1).abs().amax(-1)
    torch.testing.assert_close(g.norm(dim=-1) / gradient.norm(dim=-1), cosines)
    torch.testing.assert_close((g * (gradient - g)).sum(-1), torch.zeros(20, dtype=v.dtype))


def test_biased_tangents_remember_the_last_estimate():
    sampler = of("biased")()
    sampler.update(torch.tensor([3.0, 4.0, 0.0, 0.0]))
    v = sampler((2, 3, 4), torch.Generator().manual_seed(0), dtype=torch.float32)
    torch.testing.assert_close(v[:, 0], torch.tensor([1.2, 1.6, 0, 0]).expand(2, 4))
    sampler.update(torch.zeros(4))
    assert sampler.last is not None


@pytest.mark.slow
@pytest.mark.workflow
def test_the_overlay_runs_through_figures_and_tables(tmp_path):
    project = Project(tmp_path)
    small = tmp_path / "small.yaml"
    small.write_text(
        "quality: {k: [4], direct: [{n: [8, 16], samples: 10}], exact: {n: [8], samples: 10}}\n"
        "functions: {functions: [sphere], n: [16], steps: {sphere: 20}, seeds: [0, 1], "
        "search: {evaluations: 4, repeats: 1}}\n"
    )
    gradients = read.read(EXAMPLES / "estimators.yaml")["gradients"]
    few = {"gradients": {name: {"k": [4]} for name, one in gradients.items() if "k" in one}}
    small.write_text(small.read_text() + yaml.safe_dump(few))
    overlays = (str(EXAMPLES / "estimators.yaml"), str(small))
    project.run("quality", "functions", options=("--configfile", *overlays))
    paper = project.work / "results/paper"
    names = set(gradients)
    assert set(pd.read_csv(paper / "tables/learning_rates.csv")["gradient"]) == names
    measured = set(pd.read_csv(paper / "tables/quality.csv")["aggregation"])
    assert measured >= names - {"bp", "fg-mean", "frog"}
    assert (paper / "figures/aggregations.pdf").is_file()
