"""What the paper reports: read, refused in one line a row, and taken where the run has its like."""

import pytest
import yaml
from projects import ROOT

from fgrad.errors import ConfigError
from fgrad.plan import reported, runs
from fgrad.plan.read import laid_over

HEADER = "experiment,model,width,dataset,function,n,angle_deg,gradient,k,metric,mean,std,count\n"
ROWS = {
    "functions": "functions,,,,sphere,64,,frog,16,final,0.5,0.1,5",
    "angles": "angles,,,,styblinski-tang,64,15,fg-mean,16,steps,900,,",
    "quality": "angles,,,,,64,90,frog,4,cosine,0.25,0.09,1000",
    "fc": "fc,fc,256,mnist,,,,bp,,test_accuracy_percent,98.5,0.1,3",
    "sota": "sota,vit,,cifar10,,,,fg-mean,1,train_loss,1.5,0.1,3",
}
PAPER = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def load(folder, *rows: str, **values):
    path = folder / "published.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return runs.load(laid_over(PAPER, {"published_results": str(path)}, values), ROOT / "config")


def test_the_shipped_table_has_no_rows():
    assert (ROOT / "config/published_results.csv").read_text() == HEADER
    assert runs.load(PAPER, ROOT / "config")[1].reported == {}


def test_rows_of_what_is_run(tmp_path):
    found = load(tmp_path, *ROWS.values())[1].reported
    assert {name: len(rows) for name, rows in found.items()} == {
        "functions": 1, "angles": 2, "fc": 1, "sota": 1,
    }  # fmt: skip
    assert found["functions"] == [
        {"experiment": "functions", "function": "sphere", "n": 64, "gradient": "frog", "k": 16,
         "metric": "final", "mean": 0.5, "std": 0.1, "count": 5}
    ]  # fmt: skip
    assert found["angles"][1]["aggregation"] == "projection"
    assert "std" not in found["angles"][0]


def test_others_are_left_alone(tmp_path):
    others = [ROWS["functions"].replace("64", "3"), ROWS["angles"].replace(",15,", ",16,")]
    others += [ROWS["quality"].replace("frog,4", "frog,5"), ROWS["fc"].replace("256", "257")]
    others += [ROWS["sota"].replace("fg-mean", "mine"), ROWS["fc"].replace("mnist", "mnist5k")]
    assert load(tmp_path, *others)[1].reported == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROWS["fc"].replace("fc,fc", "4.4,fc"), "experiment = '4.4': unknown experiment; allowed: functions, angles, fc, sota"),
        (ROWS["fc"].replace("test_accuracy_percent", "accuracy"), "metric = 'accuracy': fc has test_accuracy_percent, test_loss"),
        (ROWS["functions"].replace("final", "cosine"), "metric = 'cosine': functions has final, best, steps"),
        (ROWS["fc"].replace("98.5", "985"), "mean = 985: test_accuracy_percent is from 0 to 100"),
        (ROWS["fc"].replace("98.5", "98.5 %"), "mean = '98.5 %': a plain number is needed"),
        (ROWS["fc"].replace("98.5", "nan"), "mean = 'nan': Input should be a finite number"),
        (ROWS["fc"].replace("98.5", ""), "mean: required"),
        (ROWS["fc"].replace(",0.1,", ",-0.1,"), "std = '-0.1': Input should be greater than or equal to 0"),
        (ROWS["fc"].replace(",3", ",0"), "count = '0': Input should be greater than or equal to 1"),
        (ROWS["fc"].replace("mnist", "mnits"), "dataset = 'mnits': unknown dataset"),
        (ROWS["fc"].replace(",mnist", ","), "dataset: required for test_accuracy_percent of fc"),
        (ROWS["sota"].replace("vit,", "vit,256"), "width: leave it empty for train_loss of sota"),
        (ROWS["functions"].replace("64,", "64,15"), "angle_deg: leave it empty for final of functions"),
        (ROWS["angles"].replace("styblinski-tang", ""), "function: required for steps of angles"),
        (ROWS["quality"].replace(",,64", ",sphere,64"), "function: leave it empty for cosine of angles"),
    ],
)  # fmt: skip
def test_wrong_rows_are_named(tmp_path, row, expected):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ROWS["functions"], row)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{tmp_path}/published.csv, row 3: ")
    assert expected in lines[0]


def test_a_result_is_entered_once(tmp_path):
    with pytest.raises(
        ConfigError, match=r"row 3: .*frog, k 16, metric final: same result as row 2; keep one"
    ):
        load(tmp_path, ROWS["functions"], ROWS["functions"].replace("0.5", "0.6"))


def test_a_missing_file_is_named(tmp_path):
    values = laid_over(PAPER, {"published_results": "nowhere.csv"})
    with pytest.raises(ConfigError, match=r"nowhere\.csv: cannot be read as a CSV table: No such"):
        runs.load(values, ROOT / "config")


@pytest.mark.long
@pytest.mark.parametrize(
    ("experiment", "values", "expected"),
    [
        ("functions", {}, ""),
        ("fc", {}, ""),
        ("functions", {"functions": {"steps": {"sphere": 300}}}, "300 steps on sphere instead of 1,000"),
        ("angles", {"functions": {"steps": {"sphere": 300}}}, ""),
        ("angles", {"functions": {"patience": 60}}, "patience 60 instead of 50"),
        ("fc", {"networks": {"fc": {"epochs": 3}}}, "epochs 3 instead of 200"),
        ("sota", {"networks": {"fc": {"epochs": 3}}}, ""),
        ("sota", {"networks": {"sota": {"reduce": 8}}}, "reduce 8 instead of 1"),
        ("fc", {"gradients": {"frog": {"aggregation": "sum"}}}, "frog is another approach"),
    ],
)  # fmt: skip
def test_a_run_that_is_not_the_papers_is_said_to_be(tmp_path, experiment, values, expected):
    config, _ = load(tmp_path, **values)
    assert reported.unlike(config, experiment) == expected
