"""The searches for the learning rates of sections 4.2 to 4.5, which are not of the paper itself."""

from fgrad.paper.contents.kinds import Claim, Figure, Section, Summary, Table

FOUND_CAPTION = (
    "Learning rate that the search of each row found: its loss, how many of the rates tried are "
    "within the margin of the best, whether the range had to be widened, and whether the best "
    "still lies at an edge. "
)
COMPARISON_CAPTION = (
    "Learning rate of each row as found by the search and as published, and what both reach on the "
    "same fresh seeds, mean ± standard deviation. The ratio is of what is left above the minimum, "
    "found over published, with its 95 % interval. A row is *worse* if more seeds diverge or the "
    "whole interval is above 1.05: rates within 5 % of the best are equally good by the rule that "
    "selects one. "
)
NETWORKS_CAPTION = (
    "Lowest validation loss over the learning rate, for every trial of the search that did not "
    "diverge. Crosses: trials that were pruned, at what they had reached. Filled: the rate that "
    "was selected; open: the published one, on the line of what was tried; where ``rates_of`` "
    "names another data set, the one published for that."
)


def _section(
    of: str, number: str, claim: str, statement: str, figures: tuple[Figure, ...]
) -> Section:
    """The search of one section, which differs from the others in its figures and its claim."""
    search, compared = f"search_{of}", f"compared_{of}"
    found, comparison = (
        "fgrad.paper.tables.searches:found",
        "fgrad.paper.tables.searches:comparison",
    )
    return Section(
        search,
        number=number,
        title="search for the learning rates",
        target=f"lr_search_{of}",
        search=True,
        covers=f"fgrad.paper.scale:{search}",
        summaries=(
            Summary(search, runs=(search,), makes="fgrad.paper.summary:searches", rates=of),
            Summary(compared, runs=(compared,), makes="fgrad.paper.summary:compared"),
        ),
        figures=figures,
        tables=(
            Table(f"found_{of}", makes=found, of=(search,), caption=FOUND_CAPTION + "{covers}"),
            Table(
                search, makes=comparison, of=(compared,), caption=COMPARISON_CAPTION + "{covers}"
            ),
        ),
        claims=(
            Claim(
                claim,
                statement=statement,
                check="fgrad.paper.claims.search:as_good",
                of=(compared,),
            ),
        ),
    )


SEARCH_FUNCTIONS = _section(
    "functions",
    number="4.2",
    claim="found-rates-descend-as-far",
    statement="The learning rates found descend at least as far as the published ones.",
    figures=(
        Figure(
            "search_functions",
            draws="fgrad.paper.figures.search_functions:draw",
            of=("search_functions",),
            values=("loss",),
            caption="What a descent reaches over its learning rate, for every rate the search "
            "tried: the geometric mean over the repeats of what is above the minimum. All rates of "
            "a row are evaluated on the same tangents, half of them over the whole range and half "
            "where these were best. Filled: the rate that was selected; open: the published one, "
            "on the line of what was tried. A dot is a rate that was tried, a stroke at the top "
            "one that diverged. Lines leave the panel where rates end far above the start, and end "
            "where they diverge or the range does.",
        ),
        Figure(
            "found_rates",
            draws="fgrad.paper.figures.found_rates:draw",
            of=("search_functions",),
            values=("loss", "published"),
            caption="Learning rate found (lines) and published (open markers) over the dimension.",
        ),
    ),
)

SEARCH_ANGLES = _section(
    "angles",
    number="4.3",
    claim="found-rates-at-an-angle-descend-as-far",
    statement="The rates found for tangents at an angle descend at least as far.",
    figures=(
        Figure(
            "search_angles",
            draws="fgrad.paper.figures.search_angles:draw",
            of=("search_angles",),
            values=("loss",),
            caption="What a descent on Styblinski–Tang reaches over its learning rate, for "
            "tangents at an angle to the first. The projection does not depend on the angle, so "
            "that it has one search for all of them.",
        ),
    ),
)

SEARCH_FC = _section(
    "fc",
    number="4.4",
    claim="found-rates-train-as-well",
    statement="The learning rates found train fully connected networks at least as well.",
    figures=(
        Figure(
            "search_fc",
            draws="fgrad.paper.figures.search_networks:draw",
            of=("search_fc",),
            values=("loss",),
            caption=NETWORKS_CAPTION,
        ),
    ),
)

SEARCH_SOTA = _section(
    "sota",
    number="4.5",
    claim="found-rates-classify-as-well",
    statement="The learning rates found train ResNet18 and ViT at least as well.",
    figures=(
        Figure(
            "search_sota",
            draws="fgrad.paper.figures.search_networks:draw",
            of=("search_sota",),
            values=("loss",),
            caption=NETWORKS_CAPTION,
        ),
    ),
)

SEARCH_NETWORKS = Section(
    "search_networks",
    number="4.4, 4.5",
    title="search for the learning rates",
    search=True,
    summaries=(
        Summary(
            "search_networks",
            runs=("search_fc", "search_sota"),
            makes="fgrad.paper.summary:searches",
            rates="networks",
        ),
    ),
)
"""Both in one table, as the configuration reads it."""
