"""Whatever a configuration, a table or a command line says, it is accepted or refused in a few lines.

Never another error, never without end; nothing is started.
"""

import sys

import pytest
from configurations import PAPER, ROOT, changed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgrad import cli, jobs
from fgrad.errors import ConfigError
from fgrad.plan import rates, read, runs, syntax

pytestmark = pytest.mark.long

FEW = 12

LARGE = (1000, 2**31, 2**63, 10**12, 10**24, 10**4000, 1e308)
ODD = (0, 1, 2, -1, -0.0, 0.5, 1e-320, float("nan"), float("inf"), True, False, None)
NUMBERS = st.sampled_from([*ODD, *LARGE])
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["", "yes", "0.1_0", "1e-6", "1e999", "a\nb", "\0", "x" * 500, "cuda:256", "~nobody/x", "{}"]
)
WORDS = st.sampled_from(["frog", "bp", "sphere", "fc", "mnist", "mean", "angle", "basis", "exact"])
PLAIN = NUMBERS | TEXTS | WORDS
VALUES = st.recursive(
    PLAIN | PLAIN.map(lambda one: [one] * 20_000),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.sampled_from(["n", "k", "samples", "seed"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def few(error: ConfigError) -> None:
    lines = str(error).split("\n")
    assert 1 <= len(lines) <= FEW
    assert all(line and ": " in line for line in lines)


def keys(values: dict, prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found.append(prefix + key)
        found += keys(value, f"{prefix}{key}.") if isinstance(value, dict) else []
    return found


OPTIONAL = [f"networks.fc.{key}" for key in ("device", "threads", "mode", "chunk", "sampling")]
OPTIONAL += [f"gradients.frog.{key}" for key in ("sampler", "scale", "max_length", "normalize")]


@settings(max_examples=300, deadline=60_000)
@given(path=st.sampled_from([*keys(PAPER), *OPTIONAL, "a\nb"]), value=VALUES)
def test_configurations(path, value):
    try:
        runs.load(changed(path, value), ROOT / "config")
    except ConfigError as error:
        few(error)


@settings(max_examples=150, deadline=60_000)
@given(
    values=st.fixed_dictionaries(
        {}, optional={key: st.just(PAPER.get(key)) | VALUES for key in [*PAPER, "orphans", "other"]}
    )
)
def test_configurations_in_pieces(values):
    try:
        runs.load(values, ROOT / "config")
    except ConfigError as error:
        few(error)


YAML = st.text("ab:,[]{}&*<!|>-#'\"\n\t 01.e_?%@\0", max_size=40)


@settings(max_examples=500, deadline=60_000)
@given(text=YAML | st.text(max_size=30))
def test_texts_of_configurations(text):
    try:
        found = syntax.parsed(text, "f.yaml")
        if isinstance(found, dict):
            read.laid_over(PAPER, found, found)
    except ConfigError as error:
        few(error)


@settings(max_examples=100, deadline=60_000)
@given(arguments=st.lists(st.tuples(WORDS | TEXTS, YAML), max_size=3))
def test_values_given_to_snakemake(arguments):
    try:
        read.given([f"{key}={value}" for key, value in arguments])
    except ConfigError as error:
        assert 1 <= len(str(error).split("\n")) <= FEW or any("\n" in key for key, _ in arguments)


HEADER = ("function", "n", "gradient", "k", "lr")
CELLS = st.sampled_from(
    ["", " ", "sphere", "bp", "1", "-1", "0.1", "0,1", "0.1_0", "1e999", "nan", '"', "a\nb", "\0", "1" * 30]
) | st.text(max_size=4)  # fmt: skip
ROWS = st.lists(st.lists(CELLS, min_size=4, max_size=6), max_size=30)


@settings(max_examples=300, deadline=60_000)
@given(
    header=st.permutations(HEADER) | st.lists(CELLS, max_size=7),
    rows=ROWS,
    separator=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_tables(tmp_path_factory, header, rows, separator, end, encoding):
    path = tmp_path_factory.getbasetemp() / "table.csv"
    lines = [separator.join(cells) for cells in (header, *rows)]
    path.write_bytes(end.join(lines).encode(encoding, "replace"))
    for kind in (rates.FunctionRow, rates.NetworkRow):
        try:
            rates.read_table(path, kind)
        except ConfigError as error:
            few(error)


VERBS = "measure descend train search functions network stale adopt prune"
OPTIONS = "--function --n --k --lr --gradient --model --output --seeds --angle --threads --device"
OPTIONS += " --mode --range --versions --yes --workflow --n= --k=2 = -x -- --momentum --help"
VALUE = "sphere frog fc 4 -1 0.1 0.1_0 nan 1e999 999999999999999999999999 cuda:256 None é"
GIVEN = st.sampled_from([*f"{VERBS} {OPTIONS} {VALUE}".split(), "9" * 5000, "", "\0", "a\nb"])
RUN = [
    "descend",
    "--function",
    "sphere",
    "--n",
    "4",
    "--gradient",
    "frog",
    "--k",
    "2",
    "--lr",
    "0.1",
    "--output",
    "r",
]


@pytest.fixture
def without_work(monkeypatch, tmp_path):
    """No run is carried out, and no results are there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "carry_out", lambda *_: sys.exit(0))


@settings(
    max_examples=150,
    deadline=20_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(begin=st.sampled_from([[], RUN, RUN[:5]]), arguments=st.lists(GIVEN, max_size=6))
def test_command_lines(without_work, begin, arguments):
    before = sys.argv
    sys.argv = ["fgrad", *begin, *arguments]
    try:
        cli.main()
    except SystemExit as end:
        if isinstance(end.code, str):
            assert 1 <= len(end.code.split("\n")) <= FEW
            assert end.code.startswith("fgrad: ")
            assert "please report" not in end.code
        else:
            assert end.code in (None, 0)
    finally:
        sys.argv = before
