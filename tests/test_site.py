"""The site builds strictly without a network, and is read without one: API, links, formulas."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import fgrad

pytestmark = pytest.mark.site

ROOT = Path(__file__).parent.parent
REFUSED = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://[::1]:9"
)
ALONE = ["unshare", "--map-root-user", "--net"]
"""Before a command: in a network of its own, where there is nothing."""


def cut_off(*command: str, **how) -> subprocess.CompletedProcess[str]:
    """A command without a network, as far as this machine lets us take it away."""
    may = shutil.which("unshare") and not subprocess.run([*ALONE, "true"], check=False).returncode
    return subprocess.run(
        [*(ALONE if may else []), *command],
        capture_output=True, text=True, check=False, env=os.environ | REFUSED, **how,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = cut_off(sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


class Read(HTMLParser):
    """What a page is made of: addresses that a browser loads with it, and those it links to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.links: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "a":
            self.links.add(known.get("href") or "#")
        else:
            self.loads |= {link for name in ("src", "href", "data") if (link := known.get(name))}


def at(address: str, page: Path, site: Path) -> Path:
    """The file at an address, which the page for what is not found has from the top."""
    path = address.partition("#")[0] or page.name
    return site / path[1:] if path.startswith("/") else page.parent / path


def test_nothing_comes_from_elsewhere(site):
    """All that a browser loads with a page, for a style sheet or for a font lies in the site."""
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    loads = [(page, address) for page in pages for address in Read(page).loads]
    for style in styles:
        text = style.read_text(encoding="utf-8")
        assert "@import" not in text
        found = re.findall(r"url\(['\"]?([^)'\"]*)", text)
        # fonts in older formats are named as well, for browsers of before woff2
        loads += [(style, one) for one in found if not re.match(r"data:|.*\.(woff|ttf)$", one)]
    assert len(pages) > 20
    assert sum(address.endswith(".woff2") for _, address in loads) > 10
    for page, address in loads:
        assert at(address, page, site).is_file(), (page, address)


def test_links_between_pages_lead_to_something(site):
    """Also those to files of the repository that are no pages, and to what the API names."""
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    links = [(page, address) for page in pages for address in Read(page).links]
    for page, address in links:
        if "://" not in address:
            assert at(address, page, site).is_file(), (page, address)
            anchor = address.partition("#")[2]
            if anchor.startswith("fgrad"):
                text = at(address, page, site).read_text(encoding="utf-8")
                assert f'id="{anchor}"' in text, (page, address)


def entries(site: Path) -> dict[str, str]:
    """What the pages say of each public name."""
    found = {}
    for page in (site / "docs/api").glob("*.html"):
        _, *parts = re.split(r'<h2 id="fgrad\.(\w+)"', page.read_text(encoding="utf-8"))
        found |= dict(zip(parts[::2], parts[1::2], strict=True))
    return found


def test_every_public_name_has_an_entry_with_an_example(site):
    found = entries(site)
    assert set(found) == set(fgrad.__all__)
    for name, entry in found.items():
        said = entry.partition('class="doc doc-children"')[0]
        assert re.search(r"Examples:</span></p>\s*<div[^>]*highlight", said), name


def test_the_overview_names_every_public_name(site):
    links = Read(site / "docs/api/index.html").links
    assert {link.partition("#fgrad.")[2] for link in links} >= set(fgrad.__all__)


def test_shapes_are_no_emphasis(site):
    assert "[*B, n] → [*B]" in entries(site)["forward_gradient"]


def formulas(page: Path) -> int:
    return page.read_text(encoding="utf-8").count('class="arithmatex"')


def shown(page: Path, home: Path) -> str:
    """A page as a browser has it after all scripts."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium: apt-get install chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}"]
    wait = ["--virtual-time-budget=10000", "--dump-dom"]
    done = cut_off(browser, *options, *wait, page.as_uri(), timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_formula_is_set(site, tmp_path):
    pages = [page for page in site.rglob("*.html") if formulas(page)]
    assert {page.stem for page in pages} >= {"index", "functions", "networks", "laws", "problems"}
    for page in pages:
        text = shown(page, tmp_path)
        assert text.count('class="katex"') == formulas(page), page
        assert "katex-error" not in text, page


def test_a_formula_that_is_wrong_would_be_seen(site, tmp_path):
    page = site / "docs/api/laws.html"
    wrong = page.with_name("wrong.html")
    wrong.write_text(page.read_text(encoding="utf-8").replace(r"\frac", r"\fraction"))
    text = shown(wrong, tmp_path)
    wrong.unlink()
    assert text.count('class="katex"') < formulas(page) or "katex-error" in text
