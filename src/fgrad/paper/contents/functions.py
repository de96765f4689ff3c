"""Sections 4.2 and 4.3: closed-form functions, and tangents at an angle."""

from fgrad.paper.contents.kinds import Claim, Figure, Section, Summary, Table
from fgrad.paper.contents.quality import QUALITY_CAPTION

RATES_CAPTION = (
    "Learning rates the runs were computed with, as in the paper's appendix: the published ones, "
    "or, with ``learning_rates: searched``, those of a search for each row."
)
FINAL_CAPTION = (
    "Final value, mean ± standard deviation over the seeds; “diverged” where a seed did."
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
            caption="The paper, section 4.2: more tangents reach lower values, and the projection "
            "optimises in dimensions where a single tangent hardly moves. Mean over the seeds of "
            "the final value, with 95 % intervals; dotted: the start; crosses: a seed diverged; "
            "values below 10⁻¹² are drawn there. Styblinski–Tang, whose minimum is negative, as "
            "the part of the starting gap that is left. Rosenbrock has no term at n = 1 and is "
            "left out there. See the claims *more-tangents-optimise-better*, "
            "*projection-optimises-better* and *multi-tangent-opens-dimensions*.",
        ),
        Figure(
            "descent_curves",
            draws="fgrad.paper.figures.descent_curves:draw",
            of=("curves",),
            caption="Gradient descent of section 4.2, with the published learning rate of each "
            "gradient: mean over the seeds of the value above the known minimum, with 95 % "
            "intervals. A seed that has stopped keeps its last value.",
        ),
    ),
    tables=(
        Table(
            "learning_rates",
            makes="fgrad.paper.tables:learning_rates",
            of=("functions",),
            caption=RATES_CAPTION,
        ),
        Table(
            "final_values",
            makes="fgrad.paper.tables:final_values",
            of=("functions",),
            caption=FINAL_CAPTION,
        ),
        Table(
            "stops",
            makes="fgrad.paper.tables:stops",
            of=("functions",),
            caption="Best value and steps, mean over the seeds, and how many seeds completed, "
            "stalled or diverged.",
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
            caption="The paper, section 4.3: the projection depends on the span of the tangents "
            "alone, so their angle changes the mean but never the projection. Points: mean over "
            "the samples with 95 % intervals; dotted: theory. See the claims "
            "*projection-quality-ignores-angle* and *mean-quality-needs-angle*.",
        ),
        Figure(
            "angle_descent",
            draws="fgrad.paper.figures.angle_descent:draw",
            of=("angle_curves",),
            caption="The paper, section 4.3: descent on Styblinski–Tang with all tangents at an "
            "angle to the first. Mean over the seeds with 95 % intervals. See the claims "
            "*projection-descent-ignores-angle* and *mean-descent-needs-angle*.",
        ),
    ),
    tables=(
        Table(
            "angle_learning_rates",
            makes="fgrad.paper.tables:learning_rates",
            of=("angle_functions",),
            caption=RATES_CAPTION,
        ),
        Table(
            "angle_final_values",
            makes="fgrad.paper.tables:final_values",
            of=("angle_functions",),
            caption=FINAL_CAPTION,
        ),
        Table(
            "angle_quality",
            makes="fgrad.paper.tables:quality",
            of=("angle_quality",),
            caption=QUALITY_CAPTION,
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
)
