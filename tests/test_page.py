"""The page in a browser: nothing goes wrong or out, it sorts, leads to the runs, and fits."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.site

BROWSER = shutil.which("chromium")
SIZES = [(390, "light"), (390, "dark"), (1400, "light"), (1400, "dark")]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    from papers import paper_in

    return paper_in(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


def opened(browser: Any, made: Path, width: int = 1400, scheme: str = "light", **how: Any) -> Any:
    """The page, and what it said and asked for besides itself."""
    size = {"width": width, "height": 900}
    page = browser.new_context(viewport=size, color_scheme=scheme, **how).new_page()
    page.told = []
    page.on("console", lambda one: page.told.append(one.text))
    page.on("pageerror", lambda one: page.told.append(str(one)))
    page.on("request", lambda one: page.told.append(one.url))
    page.goto(made.as_uri())
    asked = page.told.pop(0)
    assert asked == made.as_uri()
    return page


def told(page: Any) -> list[str]:
    return [one for one in page.told if not one.startswith("data:")]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_nothing_overflows_and_everybody_can_read_it(browser, made, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, made, width, scheme)
    page.locator("#figure-final_values .behind").click()
    page.locator("#figure-final_values .behind-it tbody button").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()
    assert told(page) == []


def test_a_figure_without_words_would_be_found(browser, made):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, made)
    page.evaluate("document.querySelector('figure svg').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('.statement').style.color = '#aaa'")
    wrong = {one["id"] for one in Axe().run(page).response["violations"]}
    assert wrong == {"svg-img-alt", "color-contrast"}


def test_text_in_figures_fits_as_drawn(browser, made):
    """In fonts of the page's own, and within the figure."""
    page = opened(browser, made)
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.size)") >= 2
    outside = page.evaluate(
        """() => [...document.querySelectorAll('figure svg')].flatMap((svg) => {
          const around = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text')].filter((text) => {
            const own = text.getBoundingClientRect();
            return own.left < around.left - 1 || own.right > around.right + 1;
          }).map((text) => text.textContent);
        })"""
    )
    assert outside == []
    page.locator("#figure-quality svg text").first.select_text()
    assert page.evaluate("String(getSelection())").strip()


def test_from_the_mark_to_the_run(browser, made):
    page = opened(browser, made)
    figure = page.locator("#figure-final_values")
    figure.locator(".behind").click()
    assert figure.locator("[role=status]").inner_text() == "24 of 24 rows"
    figure.locator("input").fill("sphere 16 frog")
    assert figure.locator("[role=status]").inner_text() == "1 of 1 rows"
    figure.locator("select").select_option("final")
    heads = figure.locator(".behind-it thead").inner_text()
    assert all(word in heads for word in ("function", "seeds", "mean", "95 % from"))
    figure.locator("tbody button").first.click()
    rows = figure.locator(".inner tbody tr")
    assert rows.count() == 2
    for seed, row in enumerate(rows.all()):
        cells = row.locator("td").all_inner_texts()
        assert cells[0].endswith("runs/functions/sphere/n16/frog2.parquet")
        assert cells[1:3] == ["50", str(seed)]
        assert cells[3].startswith("diverged after ")
        assert cells[5] == "cpu"
        assert "torch" in cells[7]
    assert told(page) == []


def test_tables_sort_by_what_their_cells_mean(browser, made):
    page = opened(browser, made)
    table = page.locator("#table-learning_rates table")
    column = table.locator("tbody tr").evaluate_all
    heading = table.locator("thead tr:last-child th").nth(1).locator("button")
    heading.focus()
    page.keyboard.press("Enter")
    assert column("rows => rows.map((row) => row.cells[1].textContent)") == [
        "2",
        "2",
        "4",
        "4",
        "16",
        "16",
    ]
    page.keyboard.press("Enter")
    assert column("rows => rows.map((row) => row.cells[1].textContent)") == [
        "16",
        "16",
        "4",
        "4",
        "2",
        "2",
    ]
    assert table.locator("[aria-sort=descending]").count() == 1
    found = page.locator("#table-final_values tbody tr").evaluate_all(
        "rows => rows.map((row) => row.cells.length)"
    )
    assert len(set(found)) == 1


def test_full_size_and_back_by_keyboard(browser, made):
    page = opened(browser, made)
    page.locator("#figure-quality .full").focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] svg").bounding_box()["width"] > 900
    page.keyboard.press("Escape")
    page.locator("#figure-quality .card svg").wait_for()
    assert page.locator("dialog svg").count() == 0


def test_verdicts_of_one_kind(browser, made):
    page = opened(browser, made)
    every = page.locator("main .claim").count()
    page.locator("[data-show='not decidable']").click()
    seen = page.locator("main .claim:visible")
    assert 0 < seen.count() < every
    assert set(seen.evaluate_all("all => all.map((one) => one.dataset.verdict)")) == {
        "not decidable"
    }
    page.locator("[data-show='']").click()
    assert page.locator("main .claim:visible").count() == every


def test_it_can_be_read_without_scripts_and_on_paper(browser, made, tmp_path):
    page = opened(browser, made, java_script_enabled=False)
    assert page.locator("table").count() > 3
    assert page.locator(".needs-script:visible").count() == 0
    paper = opened(browser, made)
    paper.pdf(path=str(tmp_path / "page.pdf"), format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 50_000
