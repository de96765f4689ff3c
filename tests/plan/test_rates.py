"""Tables as spreadsheets leave them: read, or named for what they are; and in few lines."""

import os

import pytest

from fgrad.errors import ConfigError
from fgrad.plan import rates

TABLE = "function,n,gradient,k,lr\nsphere,1,bp,,0.1\nsphere,1,fg-mean,1,0.2\n"


def read(path, content: str | bytes) -> list[rates.FunctionRow]:
    path = path / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return rates.read_table(path, rates.FunctionRow)


@pytest.mark.parametrize(
    "content",
    [
        TABLE + ",,,,\n,,,,\n", TABLE.replace("sphere,1,fg", ",,,,\n\n , ,,,\nsphere,1,fg"),
        TABLE + "\n\n\n", TABLE + ",,,,,,,,\n", TABLE + "  \n", TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"), TABLE.replace(",", " , "), TABLE.replace("0.1", '"0.1"'),
        TABLE.encode("utf-8-sig"), TABLE.replace("mean,1", "mean,1.0"), TABLE.replace("0.1", "1e-1"),
    ],
)  # fmt: skip
def test_what_spreadsheets_leave_is_no_mistake(tmp_path, content):
    rows = read(tmp_path, content)
    assert [(row.gradient, row.k, row.lr) for row in rows] == [
        ("bp", None, 0.1),
        ("fg-mean", 1, 0.2),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("," + TABLE.replace("\n", "\n0,"), "row 1: column 1: an index column, without a name: remove it"),
        (TABLE.replace("function", "Unnamed: 0,function"), "row 1: column 1: an index column"),
        (TABLE.replace("\n", ",\n"), "row 1: column 6: an empty last column, without a name: remove it"),
        (TABLE.replace(",gradient", ",,gradient"), "row 1: column 3: a column, without a name"),
        (TABLE.replace(",", ";"), "separated by commas"),
        (TABLE.replace(",", "\t"), "separated by commas"),
        (TABLE.replace("0.2", "0,2"), "row 3: 5 columns expected, as in the header, not 6; decimals take a point"),
        (TABLE.replace("0.2", '"0,2"'), "row 3: lr = '0,2': a plain number is needed"),
        (TABLE.replace("0.2", "0.1_0"), "row 3: lr = '0.1_0': a plain number is needed"),
        (TABLE.replace("mean,1", "mean,1_0"), "row 3: k = '1_0': a plain number is needed"),
        (TABLE.replace("mean,1", "mean,１"), "row 3: k = '１': a plain number is needed"),
        (TABLE.replace("mean,1", "mean,true"), "row 3: k = 'true': Input should be a valid integer"),
        (TABLE.replace("0.2", "yes"), "row 3: lr = 'yes': Input should be a valid number"),
        (TABLE.replace("0.2", "1e999"), "row 3: lr = inf: Input should be a finite number"),
        (TABLE.replace("0.2", "-0.0"), "row 3: lr = '-0.0': Input should be greater than 0"),
        (TABLE.replace("mean,1", "mean," + "9" * 5000), "row 3: k = '9999"),
        (TABLE.replace("fg-mean", '"a\nb"'), "gradient = 'a\\nb'"),
        (TABLE.replace("gradient", "lr"), "'lr', 'gradient' missing, unknown or twice"),
        ("function,n,gradient,k,lr\n,,,,\n", "no rows"),
        (TABLE.encode("utf-16"), "a text in UTF-16; save it as CSV in UTF-8"),
        (TABLE.replace("sphere", "sphère").encode("latin-1"), "a text that is not UTF-8"),
        (b"PK\x03\x04rest", "an Excel or OpenDocument workbook; save it as CSV in UTF-8"),
        (b"\xd0\xcf\x11\xe0rest", "an Excel workbook; save it as CSV"),
        (",".join(f"c{i}" for i in range(5000)), "and 4998 more missing, unknown or twice"),
    ],
    ids=lambda one: ascii(one)[:40],
)  # fmt: skip
def test_what_is_named(tmp_path, content, expected):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    lines = str(caught.value).splitlines()
    assert any(expected in line for line in lines), lines
    assert all("table.csv" in line and len(line) < 500 for line in lines)
    assert len(lines) <= 9


def test_of_many_mistakes_the_first_and_their_number(tmp_path):
    header, *_ = TABLE.splitlines()
    rows = "".join(f"sphere,{n},bp,,-1\n" for n in range(1, 265))
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"{header}\n{rows}")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0].split("row ")[1] for line in lines[:8]] == [
        str(n) for n in range(2, 10)
    ]
    assert lines[8:] == [f"{tmp_path}/table.csv: and 256 more"]


def test_one_more_is_said_itself(tmp_path):
    header, *_ = TABLE.splitlines()
    rows = "".join(f"sphere,{n},bp,,-1\n" for n in range(1, 10))
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"{header}\n{rows}")
    assert [line.count("lr = '-1'") for line in str(caught.value).splitlines()] == [1] * 9


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.csv").touch()
    os.truncate(tmp_path / "large.csv", 2 * rates.LARGEST)
    for path, expected in {
        tmp_path: "a folder or a device; a file is expected",
        tmp_path / "pipe": "a folder or a device; a file is expected",
        tmp_path / "large.csv": "134,217,728 bytes; 67,108,864 at most",
    }.items():
        with pytest.raises(ConfigError, match=f"cannot be read as a CSV table: {expected}"):
            rates.read_table(path, rates.FunctionRow)


def test_missing_rates_mention_the_search(tmp_path):
    with pytest.raises(ConfigError) as caught:
        rates.refuse_missing(tmp_path, rates.FunctionRow, [("sphere", 1, "bp", None, None)])
    missing, hint = str(caught.value).splitlines()
    assert missing.endswith("no learning rate for function sphere, n 1, gradient bp")
    assert hint.endswith(
        "add rows, or let rates be searched for with learning_rates: missing, or all of them with learning_rates: searched"
    )
