"""Sections 3 and 4.1: the ideas, and how well gradients are approximated."""

from fgrad.paper.contents.kinds import Claim, Figure, Section, Summary, Table

QUALITY_CAPTION = (
    "Cosine similarity to ∇f and norm ratio ‖g‖/‖∇f‖, both without a unit, mean ± standard "
    "deviation over the samples. "
)

CONCEPTS = Section(
    "concepts",
    number="3",
    title="Multi-tangent forward gradients",
    figures=(
        Figure(
            "forward_gradient",
            draws="fgrad.paper.figures.forward_gradient:draw",
            of=(),
            caption="A forward gradient (∇f·v) v is the tangent v scaled by the directional "
            "derivative along it: it never points against ∇f. The paper, section 3.",
        ),
        Figure(
            "projection",
            draws="fgrad.paper.figures.projection:draw",
            of=(),
            caption="Of all vectors in the span U of the tangents, the orthogonal projection of "
            "∇f is the closest to ∇f; the mean of the forward gradients lies in U as well. The "
            "paper, section 3.",
        ),
    ),
)

QUALITY = Section(
    "quality",
    number="4.1",
    title="Approximation quality",
    target="quality",
    covers="fgrad.paper.scale:quality",
    summaries=(
        Summary("quality", runs=("quality",), makes="fgrad.paper.summary:quality"),
        Summary("exact", runs=("exact",), makes="fgrad.paper.summary:quality"),
    ),
    figures=(
        Figure(
            "quality",
            draws="fgrad.paper.figures.quality:draw",
            of=("quality",),
            values=("cosine", "norm_ratio"),
            caption="The paper, section 4.1: the cosine similarity and the norm ratio of the "
            "projection grow with k/n, while the mean keeps the direction of a few tangents and "
            "its norm grows like √(n/k). Points: mean over {samples} samples with 95 % intervals "
            "(of the mean itself, which the lines are about). Lines: the expectations of the exact "
            "law. The claims *projection-follows-theory*, "
            "*mean-is-unbiased* and *mean-norm-follows-theory* hold our numbers against them.",
        ),
        Figure(
            "aggregations",
            draws="fgrad.paper.figures.aggregations:draw",
            of=("quality",),
            values=("cosine", "norm_ratio", "difference_norm"),
            caption="The paper, section 4.1: of the aggregations of the same tangents, the "
            "orthogonal projection has the highest cosine similarity and the smallest error; the "
            "mean and the sum differ in length alone. Mean over {samples} samples with 95 % "
            "intervals; in the corners, which lines lie upon each other. Means below 10⁻⁴ (the "
            "error of the projection with k ≥ n) are not drawn. See the claim "
            "*projection-is-best*.",
        ),
        Figure(
            "gain",
            draws="fgrad.paper.figures.gain:draw",
            of=("quality",),
            values=("cosine",),
            caption="What the projection gains over the mean of the same number of tangents, from "
            "the numbers of section 4.1: the ratio of their mean cosine similarities to ∇f, for "
            "every n and k ≤ n, over {samples} samples, with 95 % intervals (to first order). The "
            "line is √(1 + k/n), what the law comes to for large k: a tangent for each "
            "dimension gains √2, and where n ≫ k there is nothing to gain. See the claim "
            "*projection-gains-with-k-over-n*.",
        ),
        Figure(
            "extension",
            draws="fgrad.paper.figures.quality:draw",
            of=("exact",),
            values=("cosine", "norm_ratio"),
            caption="The figure of section 4.1 carried on to n = 10⁹ by sampling the metrics from "
            "their exact law, which the paper does not show. Points: mean over {exact_samples} "
            "samples with 95 % intervals. Lines: expectations. See the claim "
            "*extension-follows-theory*.",
        ),
    ),
    tables=(
        Table(
            "quality",
            makes="fgrad.paper.tables.quality:quality",
            of=("quality",),
            caption=QUALITY_CAPTION + "{covers}",
        ),
    ),
    claims=(
        Claim(
            "projection-follows-theory",
            also="3",
            statement="The projection's cosine similarity is "
            "Γ((k+1)/2)Γ(n/2) / (Γ(k/2)Γ((n+1)/2)) on average.",
            check="fgrad.paper.claims.quality:projection_follows_theory",
            of=("quality",),
        ),
        Claim(
            "mean-is-unbiased",
            also="3",
            statement="The mean of k forward gradients is unbiased: its component along ∇f is ‖∇f‖ "
            "on average.",
            check="fgrad.paper.claims.quality:mean_is_unbiased",
            of=("quality",),
        ),
        Claim(
            "mean-norm-follows-theory",
            also="3",
            statement="The mean's norm is too large by E‖mean‖²/‖∇f‖² = (n + k + 1)/k.",
            check="fgrad.paper.claims.quality:mean_norm_follows_theory",
            of=("quality",),
        ),
        Claim(
            "extension-follows-theory",
            statement="The law continues to n = 10⁹: sampled from it, the projection follows "
            "theory at every scale.",
            check="fgrad.paper.claims.quality:projection_follows_theory",
            of=("exact",),
        ),
        Claim(
            "projection-is-best",
            statement="No aggregation of the same tangents comes closer to ∇f in direction than "
            "the projection.",
            check="fgrad.paper.claims.quality:projection_is_best",
            of=("quality",),
        ),
        Claim(
            "more-tangents-approximate-better",
            statement="More tangents approximate better: the cosine similarity of the projection "
            "rises with k.",
            check="fgrad.paper.claims.quality:more_tangents_approximate_better",
            of=("quality",),
        ),
        Claim(
            "single-tangent-fades",
            statement="The cosine similarity of a single tangent falls like n^(−1/2).",
            check="fgrad.paper.claims.quality:single_tangent_fades",
            of=("quality",),
        ),
        Claim(
            "projection-gains-with-k-over-n",
            statement="The projection's gain in direction over the mean depends on k/n, about "
            "√(1 + k/n): none for n ≫ k.",
            check="fgrad.paper.claims.quality:projection_gains_with_k_over_n",
            of=("quality",),
            paper=False,
        ),
    ),
)
