"""What a run covers, in words."""

from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml

from fgrad.paper import contents
from fgrad.plan import runs

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("rates", ["published", "searched"])
def test_every_section_with_claims_says_what_it_covers(rates):
    values = yaml.safe_load((CONFIG / "config.yaml").read_text()) | {"learning_rates": rates}
    config, _ = runs.load(values, CONFIG)
    said = {
        section.name: resolve_name(section.covers)(config)
        for section in contents.SECTIONS.values()
        if section.claims
    }
    assert said["quality"] == (
        "n = 1 to 65,536, k = 1 to 1,024, 1,000 or 100 samples; exact law to n = 1,000,000,000."
    )
    assert said["search_sota"].endswith("compared on 5 fresh seeds with the published rates.")
    of_found = {
        name for name, text in said.items() if text.endswith("learning rates that a search found.")
    }
    trained = {"functions", "angles", "fc", "sota"}
    assert of_found == (trained if rates == "searched" else set())
