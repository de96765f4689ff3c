"""Sections 4.2 and 4.3: closed-form functions, and tangents at an angle."""

from fgrad.paper.contents.kinds import (
    Claim,
    Figure,
    Section,
    Summary,
    Table,
    beside_published,
)
from fgrad.paper.contents.quality import QUALITY_CAPTION

RATES_CAPTION = "Learning rates of the runs, as in the paper's appendix: {rates}."
FINAL_CAPTION = (
    "Final value of the function, mean ± standard deviation over the seeds; how many seeds "
    "diverged where some did. "
)

FUNCTIONS = Section(
    "functions",
    number="4.2",
    title="Closed-form functions",
    target="functions",
    covers="fgrad.paper.scale:functions",
    summaries=(
        Summary("functions", runs=("functions",), makes="fgrad.paper.summary:functions"),
        Summary("curves", runs=("functions",), makes="fgrad.paper.summary:curves"),
        Summary("function_seeds", runs=("functions",), makes="fgrad.paper.seeds:functions"),
    ),
    figures=(
        Figure(
            "final_values",
            draws="fgrad.paper.figures.final_values:draw",
            of=("functions",),
            values=("log_gap", "final"),
            caption="The paper, section 4.2: more tangents reach lower values, and the projection "
            "optimises in dimensions where a single tangent hardly moves. Final value after "
            "{steps} steps, with {rates}: on log scales the {log_mean}, values "
            "below 10⁻¹² drawn there; Styblinski–Tang, whose minimum is negative, as the part of "
            "the starting gap that is left, the {mean}. Methods stand side by side at each n. "
            "Dotted: the start; crosses: a seed diverged. Rosenbrock has no term at n = 1 and is "
            "left out there. See the claims *more-tangents-optimise-better*, "
            "*projection-optimises-better* and *multi-tangent-opens-dimensions*.",
        ),
        Figure(
            "descent_curves",
            draws="fgrad.paper.figures.descent_curves:draw",
            of=("curves",),
            values=("log_gap", "value"),
            caption="Gradient descent of section 4.2, with {rates}: value over "
            "steps, on log scales the {log_mean}, else the part of the starting gap that is "
            "left, the {mean}. A seed that has stopped keeps its last value. A curve ends in "
            "a cross where a seed diverged or the mean left the panel on the way there.",
        ),
        Figure(
            "gap_to_bp",
            draws="fgrad.paper.figures.gap_to_bp:draw",
            of=("functions",),
            values=("log_left",),
            caption="How far forward gradients stay behind ∇f in section 4.2: what is left of the "
            "starting gap f(x₀) − f*, as a multiple of what ∇f leaves with a learning rate of its "
            "own, the {log_mean}. Below 10⁻⁶ of the starting gap a descent counts as solved, "
            "and two that are have a ratio of 1. Crosses: a seed diverged. See the claim "
            "*gap-to-the-gradient-grows-with-n*.",
        ),
        Figure(
            "quality_predicts",
            draws="fgrad.paper.figures.quality_predicts:draw",
            of=("functions",),
            values=("log_left",),
            caption="How far the quality of an estimate predicts the progress of a descent, which "
            "the paper does not show: what is left of the starting gap in section 4.2 over the "
            "expected cosine similarity to ∇f that the laws of section 4.1 give for that gradient, "
            "n and k; ∇f itself has 1. Grey lines join what descends in one n, the {log_mean}, "
            "10⁻⁶ at least. If quality were all that counts, all lines would be one. See the claim "
            "*quality-predicts-progress*.",
        ),
    ),
    tables=(
        Table(
            "learning_rates",
            makes="fgrad.paper.tables.functions:learning_rates",
            of=("functions",),
            caption=RATES_CAPTION,
        ),
        Table(
            "final_values",
            makes="fgrad.paper.tables.functions:final_values",
            of=("functions",),
            caption=FINAL_CAPTION + "{covers}",
            metrics=("final",),
        ),
        Table(
            "stops",
            makes="fgrad.paper.tables.functions:stops",
            of=("functions",),
            caption="Best value and steps, mean ± standard deviation over the seeds, and how many "
            "seeds completed, stalled or diverged. {covers}",
            metrics=("best", "steps"),
        ),
    ),
    claims=(
        Claim(
            "more-tangents-optimise-better",
            statement="More tangents optimise better: for every function and gradient, over all n, "
            "less of the starting gap is left.",
            check="fgrad.paper.claims.functions:more_tangents_optimise_better",
            of=("function_seeds",),
        ),
        Claim(
            "projection-optimises-better",
            statement="With the same tangents the projection optimises at least as well as the "
            "mean.",
            check="fgrad.paper.claims.functions:projection_optimises_better",
            of=("function_seeds",),
        ),
        Claim(
            "multi-tangent-opens-dimensions",
            statement="Multi-tangent forward gradients optimise in dimensions where the single "
            "tangent fails.",
            check="fgrad.paper.claims.functions:multi_tangent_opens_dimensions",
            of=("function_seeds",),
        ),
        Claim(
            "gap-to-the-gradient-grows-with-n",
            statement="Forward gradients fall behind ∇f as the dimension n grows, for every "
            "function, gradient and k.",
            check="fgrad.paper.claims.functions:gap_to_the_gradient_grows",
            of=("function_seeds",),
            paper=False,
        ),
        Claim(
            "descents-rarely-diverge",
            statement="With the learning rate of its row at most 1 in 20 descents diverges, "
            "whatever the gradient.",
            check="fgrad.paper.claims.functions:descents_rarely_diverge",
            of=("function_seeds",),
            paper=False,
        ),
        Claim(
            "quality-predicts-progress",
            statement="The quality of an estimate predicts its progress: within a function and n, "
            "approaches of higher expected cosine similarity leave less of the starting gap.",
            check="fgrad.paper.claims.functions:quality_predicts_progress",
            of=("function_seeds",),
            paper=False,
        ),
    ),
    beside_published=beside_published("functions", "functions"),
)

ANGLES = Section(
    "angles",
    number="4.3",
    title="Tangents at an angle",
    target="angles",
    covers="fgrad.paper.scale:angles",
    summaries=(
        Summary("angle_quality", runs=("angle_quality",), makes="fgrad.paper.summary:quality"),
        Summary(
            "angle_functions", runs=("angle_functions",), makes="fgrad.paper.summary:functions"
        ),
        Summary("angle_seeds", runs=("angle_functions",), makes="fgrad.paper.seeds:functions"),
        Summary("angle_curves", runs=("angle_functions",), makes="fgrad.paper.summary:curves"),
    ),
    figures=(
        Figure(
            "angle_quality",
            draws="fgrad.paper.figures.angle_quality:draw",
            of=("angle_quality",),
            values=("cosine", "norm_ratio"),
            caption="The paper, section 4.3: the projection depends on the span of the tangents "
            "alone, so their angle changes the mean but never the projection. Points: mean over "
            "{samples} samples with 95 % intervals; dotted: theory. See the claims "
            "*projection-quality-ignores-angle* and *mean-quality-needs-angle*.",
        ),
        Figure(
            "angle_descent",
            draws="fgrad.paper.figures.angle_descent:draw",
            of=("angle_curves",),
            values=("log_gap", "value"),
            caption="The paper, section 4.3: descent on {function} with all tangents at an angle "
            "to the first, with {rates}: the part of the starting gap that is left, "
            "the {mean}. A curve ends in a cross where a seed diverged. See the claims "
            "*projection-descent-ignores-angle* and *mean-descent-needs-angle*.",
        ),
    ),
    tables=(
        Table(
            "angle_learning_rates",
            makes="fgrad.paper.tables.functions:learning_rates",
            of=("angle_functions",),
            caption=RATES_CAPTION,
        ),
        Table(
            "angle_final_values",
            makes="fgrad.paper.tables.functions:final_values",
            of=("angle_functions",),
            caption=FINAL_CAPTION + "{covers}",
            metrics=("final",),
        ),
        Table(
            "angle_quality",
            makes="fgrad.paper.tables.quality:quality",
            of=("angle_quality",),
            caption=QUALITY_CAPTION + "{covers}",
            metrics=("cosine", "norm_ratio"),
        ),
    ),
    claims=(
        Claim(
            "projection-quality-ignores-angle",
            statement="The quality of the projection does not depend on the angle between the "
            "tangents.",
            check="fgrad.paper.claims.quality:projection_follows_theory",
            of=("angle_quality",),
        ),
        Claim(
            "mean-quality-needs-angle",
            statement="The quality of the mean does: the narrower the tangents, the lower its "
            "cosine similarity.",
            check="fgrad.paper.claims.functions:mean_quality_needs_angle",
            of=("angle_quality",),
        ),
        Claim(
            "projection-descent-ignores-angle",
            statement="Descent with the projection does not depend on the angle between the "
            "tangents.",
            check="fgrad.paper.claims.functions:projection_descent_ignores_angle",
            of=("angle_curves",),
        ),
        Claim(
            "mean-descent-needs-angle",
            statement="Descent with the mean does depend on it: narrower tangents end higher.",
            check="fgrad.paper.claims.functions:mean_descent_needs_angle",
            of=("angle_seeds",),
        ),
    ),
    beside_published=beside_published("angles", "angle_functions", "angle_quality"),
)
