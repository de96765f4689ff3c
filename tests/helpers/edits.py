"""Edits that users make, and the jobs that each has to rerun."""

import subprocess
from collections.abc import Callable

from projects import Project

from fgrad.paper import contents

Edit = Callable[[Project], None]

FUNCTION_PAPER = {
    "figure_final_values": 1, "figure_descent_curves": 1, "figure_gap_to_bp": 1, "figure_quality_predicts": 1,
    "table_learning_rates": 1, "table_final_values": 1, "table_stops": 1,
    "judge_claims": 1, "collect_claims": 1,
}  # fmt: skip
SOTA_PAPER = {
    "figure_sota_training": 1, "figure_sota_tangents": 1, "figure_sota_equal_time": 1, "figure_sota_time": 1,
    "table_sota_learning_rates": 1, "table_sota_accuracy": 1,
    "judge_claims": 1, "collect_claims": 1,
}  # fmt: skip
ANGLE_PAPER = {
    "figure_angle_quality": 1, "figure_angle_descent": 1, "table_angle_quality": 1,
    "table_angle_learning_rates": 1, "table_angle_final_values": 1, "judge_claims": 1, "collect_claims": 1,
}  # fmt: skip
NETWORK_PAPER = SOTA_PAPER | {
    "figure_fc_training": 1, "figure_fc_tangents": 1, "figure_fc_equal_time": 1, "figure_fc_time": 1,
    "table_fc_learning_rates": 1, "table_fc_accuracy": 1, "judge_claims": 2,
}  # fmt: skip


def edited(file: str, old: str, new: str) -> Edit:
    return lambda project: project.edit(file, old, new)


def appended(file: str, text: str) -> Edit:
    def edit(project: Project) -> None:
        path = project.home / file
        path.write_text(path.read_text() + text)

    return edit


def inserted(file: str, before: str, text: str) -> Edit:
    return edited(file, before, text + before)


def both(*edits: Edit) -> Edit:
    def edit(project: Project) -> None:
        for one in edits:
            one(project)

    return edit


def touched(*folders: str) -> Edit:
    def edit(project: Project) -> None:
        for folder in folders:
            for path in (project.home / folder).rglob("*"):
                path.touch()

    return edit


def git(project: Project, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *who, *arguments]
    subprocess.run(command, cwd=project.home, check=True, capture_output=True)


def switched(project: Project) -> None:
    """To a branch with another formula and back: every file is written anew."""
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=all")
    git(project, "switch", "--quiet", "--create=other")
    project.edit("src/fgrad/experiments/descent.py", "g, lr, value=-1", "g, lr, value=-2")
    project.edit("workflow/scripts/descend_function.py", "with log", "print()\nwith log")
    git(project, "commit", "--quiet", "--all", "--message=other")
    git(project, "switch", "--quiet", "main")


def cloned(project: Project) -> None:
    """A fresh checkout of the same files beside kept results."""
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=all")
    fresh = project.home.with_name("fresh")
    git(project, "clone", "--quiet", str(project.home), str(fresh))
    project.home.rename(project.home.with_name("aside"))
    fresh.rename(project.home)


AGGREGATION = '''
def median(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """A new one."""
    return derivatives - derivatives.median(-1, keepdim=True).values
'''
SAMPLER = '''
def ones(size: Size, generator: Generators, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """A new one."""
    return torch.ones(size, dtype=dtype)
'''
FUNCTION = """
QUARTIC = Function(lambda x: x.square().square().sum(-1), (1, 1), _zero)
"""
MODEL = """
def linear(
    channels: int, size: int, classes: int, width: int | None = None, reduce: int = 1
) -> nn.Sequential:
    return _chain(head=nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, classes)))
"""

NOTHING: dict[str, Edit] = {
    "a mirror of a data set": edited(
        "src/fgrad/problems/published.py",
        '"https://ossci-datasets.s3',
        '"https://example.org/",\n        "https://ossci-datasets.s3',
    ),
    "a message in validation.py": edited("src/fgrad/validation.py", "unknown key; see", "unknown, see"),
    "a message in options": edited(
        "src/fgrad/options/functions.py", "is defined for n =", "is only defined for n ="
    ),
    "a message in plan": edited("src/fgrad/plan/rates.py", "no learning rate for", "no rate for"),
    "a message in the mathematics": edited(
        "src/fgrad/gradients/estimators.py", "tangents are independent in", "tangents exist in"
    ),
    "a message in the store": edited("src/fgrad/store/files.py", "cannot be written; choose another folder", "cannot be written; take another"),
    "how a GPU is found": edited(
        "src/fgrad/experiments/gpus.py", "time.sleep(POLL)", "time.sleep(2 * POLL)"
    ),
    "a progress line": edited(
        "src/fgrad/store/log.py", "step = max(1, total // 10)", "step = max(1, total // 20)"
    ),
    "a line for the log in a training": edited(
        "src/fgrad/experiments/training.py", "resumed after epoch", "goes on after epoch"
    ),
    "another progress line in an experiment": inserted(
        "src/fgrad/experiments/training.py",
        "            context.progress(epoch, run.epochs)\n",
        '            if epoch % 20 == 0:\n                context.say("another twenty")\n',
    ),
    "a column of trainings": edited(
        "src/fgrad/store/schemas.py",
        '    "eval_seconds": FLOAT,\n',
        '    "eval_seconds": FLOAT,\n    "gpu_mb": FLOAT,\n',
    ),
    "a column of functions": edited(
        "src/fgrad/store/schemas.py", '    "value": FLOAT,\n', '    "value": FLOAT,\n    "x": FLOAT,\n'
    ),
    "a test function": both(
        appended("src/fgrad/problems/functions.py", FUNCTION),
        edited(
            "src/fgrad/problems/registry.py",
            '"sphere": ',
            '"quartic": "fgrad.problems.functions:QUARTIC",\n        "sphere": ',
        ),
    ),
    "an aggregation": both(
        appended("src/fgrad/gradients/aggregation.py", AGGREGATION),
        edited(
            "src/fgrad/gradients/registry.py",
            '"sum": "fgrad.gradients.aggregation',
            '"median": "fgrad.gradients.aggregation:median",\n        "sum": "fgrad.gradients.aggregation',
        ),
    ),
    "a sampler": both(
        appended("src/fgrad/gradients/tangents.py", SAMPLER),
        edited(
            "src/fgrad/gradients/registry.py",
            '"normal": ',
            '"ones": "fgrad.gradients.tangents:ones",\n        "normal": ',
        ),
    ),
    "a model": both(
        appended("src/fgrad/problems/models.py", MODEL),
        edited(
            "src/fgrad/problems/registry.py",
            '"fc": ',
            '"linear": "fgrad.problems.models:linear",\n        "fc": ',
        ),
    ),
    "the formula of a function that is not used": edited(
        "src/fgrad/problems/functions.py", "25 * x.sin()", "26 * x.sin()"
    ),
    "an option with a default": edited(
        "src/fgrad/options/networks.py",
        "    augment: bool = False\n",
        '    mixup: bool = False\n    """Of images."""\n    augment: bool = False\n',
    ),
    "a comment in a script": appended("workflow/scripts/train_network.py", "\n# a comment\n"),
    "a comment in a module": appended("src/fgrad/experiments/descent.py", "\n# a comment\n"),
    "a docstring": edited(
        "src/fgrad/experiments/descent.py", '"""Where each descent stops', '"""When each descent stops'
    ),
    "an annotation": edited(
        "src/fgrad/gradients/estimators.py", "k: int,\n    generator", "k: Any,\n    generator"
    ),
    "touched scripts, modules and configuration": touched("workflow", "src", "config", "rules"),
    "a branch switched and switched back": switched,
    "a fresh clone": cloned,
    "a published result of no run": edited(
        "config/published_results.csv", "std,count\n", "std,count\nfunctions,,,,sphere,4,,bp,,final,0.5,,\n"
    ),
    "a row of no run": edited(
        "config/learning_rates/functions.csv", "k,lr\n", "k,lr\nplane,1,bp,,0.1\n"
    ),
    "the device, its slots and the threads": edited(
        "tests/tiny.yaml", "    datasets: [mnist5k]\n    rates_of: mnist\n    seeds: [0]\n    epochs: 1\n    reduce: 32\n    search: {evaluations: 3",
        "    device: cpu\n    gpu_slots: 2\n    threads: 2\n    datasets: [mnist5k]\n    rates_of: mnist\n    seeds: [0]\n    epochs: 1\n    reduce: 32\n    search: {evaluations: 3",
    ),
    "another folder of data": edited(
        "tests/tiny.yaml", "networks:\n", "networks:\n  data_dir: elsewhere\n"
    ),
}  # fmt: skip

SOME: dict[str, tuple[Edit, dict[str, int]]] = {
    "the caption of a figure, which is on the page and in the report": (
        edited("src/fgrad/paper/contents/functions.py", "Gradient descent of section 4.2", "Descent of section 4.2"),
        {"page": 1},
    ),
    "how the page looks": (
        edited("src/fgrad/paper/page/templates/style.css", "max-width: 70rem", "max-width: 60rem"),
        {"page": 1},
    ),
    "a learning rate": (
        edited("config/learning_rates/functions.csv", "rosenbrock,2,frog,2,0.0019253", "rosenbrock,2,frog,2,0.002"),
        {"descend_function": 1, "summarize": 3} | FUNCTION_PAPER,
    ),
    "a learning rate of a network": (
        edited("config/learning_rates/networks.csv", "sota,resnet18,,mnist,frog,2,0.508263", "sota,resnet18,,mnist,frog,2,0.5"),
        {"train_network": 1, "summarize": 3} | SOTA_PAPER,
    ),
    "a seed": (
        edited("tests/tiny.yaml", "seeds: [0]\n    epochs: 1\n    reduce: 32\n    search: {evaluations: 3", "seeds: [0, 1]\n    epochs: 1\n    reduce: 32\n    search: {evaluations: 3"),
        {"train_network": 4, "summarize": 3, "figure_fc_training": 1, "figure_fc_tangents": 1, "figure_fc_equal_time": 1, "figure_fc_time": 1,
         "table_fc_learning_rates": 1, "table_fc_accuracy": 1, "judge_claims": 1, "collect_claims": 1},
    ),
    "the formula of a descent": (
        edited("src/fgrad/experiments/descent.py", "g, lr, value=-1", "g, lr, value=-2"),
        {"descend_function": 11, "summarize": 6, **FUNCTION_PAPER, "judge_claims": 2, "figure_angle_descent": 1,
         "table_angle_learning_rates": 1, "table_angle_final_values": 1},
    ),
    "the formula of a training and a mirror": (
        both(
            edited("src/fgrad/experiments/state.py", "p.grad for p in self.parameters", "+p.grad for p in self.parameters"),
            edited("src/fgrad/problems/published.py", '"https://ossci-datasets.s3', '"https://example.org/",\n            "https://ossci-datasets.s3'),
        ),
        {"train_network": 8, "summarize": 6} | NETWORK_PAPER,
    ),
    "one test function": (
        edited("src/fgrad/problems/functions.py", "return x.square().sum(-1)\n\n\ndef _sphere_gradient", "return (x * x).sum(-1)\n\n\ndef _sphere_gradient"),
        {"descend_function": 4, "summarize": 3} | FUNCTION_PAPER,
    ),
    "one aggregation": (
        edited("src/fgrad/gradients/aggregation.py", "return derivatives / derivatives.shape[-1]", "return derivatives / float(derivatives.shape[-1])"),
        {"measure_quality": 4, "descend_function": 6, "train_network": 4, "summarize": 14, "figure_aggregations": 1, "figure_gain": 1,
         **FUNCTION_PAPER, **NETWORK_PAPER, **ANGLE_PAPER, "figure_quality": 1, "table_quality": 1, "judge_claims": 5},
    ),
    "a figure": (
        edited("src/fgrad/paper/figures/aggregations.py", "FLOOR = 1e-4", "FLOOR = 1e-5"),
        {"figure_aggregations": 1},
    ),
    "how figures look": (
        edited("config/config.yaml", "  font_size: 8\n  font: sans", "  font_size: 9\n  font: serif"),
        {f"figure_{figure.name}": 1 for section in contents.PAPER for figure in section.figures},
    ),
    "the formats of figures": (
        edited("config/config.yaml", "formats: [pdf, png]", "formats: [pdf, png, svg]"),
        {f"figure_{figure.name}": 1 for section in contents.PAPER for figure in section.figures},
    ),
    "the caption of a table, which is in its LaTeX": (
        edited("src/fgrad/paper/contents/functions.py", "Best value and steps", "Lowest value and steps"),
        {"table_stops": 1},
    ),
    "a published result": (
        edited("config/published_results.csv", "std,count\n", "std,count\nfunctions,,,,sphere,2,,bp,,final,0.5,0.1,5\n"),
        {"table_final_values": 1, "judge_claims": 1, "collect_claims": 1},
    ),
    "a published result that no table shows": (
        edited("config/published_results.csv", "std,count\n", "std,count\nfc,fc,256,mnist5k,,,,bp,,train_loss,0.5,0.1,5\n"),
        {"judge_claims": 1, "collect_claims": 1},
    ),
    "a script": (
        edited("workflow/scripts/measure_quality.py", "with log", "print()\n\nwith log"),
        {},
    ),
    "what a script does": (
        edited("workflow/scripts/measure_quality.py", "QualityRun(**snakemake.params.run)", 'QualityRun(**dict(snakemake.params.run))'),
        {"measure_quality": 5, "summarize": 3, "figure_aggregations": 1, "figure_gain": 1, "figure_quality": 1, "figure_extension": 1,
         "figure_angle_quality": 1, "table_quality": 1, "table_angle_quality": 1, "judge_claims": 2, "collect_claims": 1},
    ),
}  # fmt: skip

SOME = {name: (edit, jobs and jobs | {"page": 1}) for name, (edit, jobs) in SOME.items()}
"""What is shown anew is shown on the page."""

BY_GIT = {"a branch switched and switched back", "a fresh clone"}
"""Edits of every file at once, which are not made beside others."""
