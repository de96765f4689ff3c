"""Sections 4.4 and 4.5: networks."""

from fgrad.paper.contents.functions import RATES_CAPTION
from fgrad.paper.contents.kinds import (
    Claim,
    Figure,
    Section,
    Summary,
    Table,
    beside_published,
)

ACCURACY_CAPTION = (
    "Test accuracy in %, mean ± standard deviation over the seeds, at the epoch of the lowest "
    "validation loss; and seconds of training of an epoch, mean over the seeds, on the machine of "
    "the run, on a CPU those in which it computes. "
)

EQUAL_TIME = (
    "What the training of section {section} reaches in a given time on the machine of the run: "
    "validation accuracy over the seconds of training up to each epoch (on a CPU those in which "
    "it computes; evaluation left out), mean over the seeds; of the accuracy the {{mean}}; from "
    "epoch 1 on; a seed that has stopped keeps its last value; crosses: a seed diverged. In mode "
    "sim, the default, that is the cost of the simulation, see the figure of the time of an "
    "epoch. See the claim *{name}-more-tangents-win-at-equal-time*."
)


def _time(of: str, number: str) -> Figure:
    """What an epoch costs: a figure for each section, whose target trains no other's networks."""
    return Figure(
        f"{of}_time",
        draws="fgrad.paper.figures.epoch_time:draw",
        of=(of,),
        values=("train_seconds",),
        caption=f"What an epoch of section {number} costs on the machine of the run, which no "
        "claim is about: seconds of training, evaluation left out, as multiples of the mean of "
        "backpropagation (bp) on the same network and data set, the {mean}. In mode sim, the "
        "default, the directional derivatives come from the gradient of backpropagation, so this "
        "is the cost of the simulation; in mode fwad it is that of forward mode.",
    )


def beyond(section: str) -> tuple[Claim, Claim]:
    """What a referee would ask of a section's trainings."""
    return (
        Claim(
            f"{section}-more-tangents-win-at-equal-time",
            statement="More tangents reach a higher validation accuracy in the same time, on the "
            "machine of the run.",
            check="fgrad.paper.claims.networks:more_tangents_win_at_equal_time",
            of=(f"{section}_seeds",),
            paper=False,
        ),
        Claim(
            f"{section}-trainings-rarely-diverge",
            statement="With the learning rate of its row at most 1 in 20 trainings diverges, "
            "whatever the gradient.",
            check="fgrad.paper.claims.networks:trainings_rarely_diverge",
            of=(f"{section}_seeds",),
            paper=False,
        ),
    )


FC = Section(
    "fc",
    number="4.4",
    title="Fully connected networks",
    target="fc",
    covers="fgrad.paper.scale:fc",
    summaries=(
        Summary("fc", runs=("fc",), makes="fgrad.paper.summary:networks"),
        Summary("fc_curves", runs=("fc",), makes="fgrad.paper.summary:network_curves"),
        Summary("fc_seeds", runs=("fc",), makes="fgrad.paper.seeds:networks"),
    ),
    figures=(
        Figure(
            "fc_training",
            draws="fgrad.paper.figures.training:draw",
            of=("fc_curves",),
            values=("log_train_loss", "val_accuracy"),
            caption="The paper, section 4.4: on fully connected networks of every width, more "
            "tangents reach a lower training loss, the projection does no worse than the mean, "
            "and the gap to backpropagation grows with the width. With {rates}; of the loss "
            "the {log_mean}; of the accuracy the {mean}; epoch 0 before any step; a seed that has "
            "stopped keeps its last value; crosses: a seed diverged. The axis of the loss ends "
            "two decades below the lowest of the forward gradients. See the claims "
            "*more-tangents-train-better*, *projection-trains-better* and *gap-grows-with-width*.",
        ),
        Figure(
            "fc_tangents",
            draws="fgrad.paper.figures.tangents:draw",
            of=("fc",),
            values=("test_accuracy",),
            caption="What the training of section 4.4 is worth on the test data: accuracy at the "
            "epoch of the lowest validation loss, with {rates}: the {mean}; dotted: from the "
            "single tangent of the mean, whose direction is the projection's too, to the "
            "projection. The claims *more-tangents-train-better*, *projection-trains-better* and "
            "*gap-grows-with-width* are decided from the training loss.",
        ),
        _time("fc", "4.4"),
        Figure(
            "fc_equal_time",
            draws="fgrad.paper.figures.equal_time:draw",
            of=("fc_curves",),
            values=("val_accuracy", "seconds"),
            caption=EQUAL_TIME.format(section="4.4", name="fc"),
        ),
    ),
    tables=(
        Table(
            "fc_learning_rates",
            makes="fgrad.paper.tables.functions:learning_rates",
            of=("fc",),
            caption=RATES_CAPTION,
        ),
        Table(
            "fc_accuracy",
            makes="fgrad.paper.tables.networks:accuracy",
            of=("fc",),
            caption=ACCURACY_CAPTION + "{covers}",
            metrics=("test_accuracy_percent",),
        ),
    ),
    claims=(
        Claim(
            "more-tangents-train-better",
            statement="More tangents train better: for every width a lower training loss is "
            "reached.",
            check="fgrad.paper.claims.networks:more_tangents_train_better",
            of=("fc_seeds",),
        ),
        Claim(
            "projection-trains-better",
            statement="With the same tangents the projection trains at least as well as the mean.",
            check="fgrad.paper.claims.networks:projection_trains_better",
            of=("fc_seeds",),
        ),
        Claim(
            "gap-grows-with-width",
            statement="The gap in training loss to backpropagation grows with the width.",
            check="fgrad.paper.claims.networks:gap_in_loss_grows",
            of=("fc_seeds",),
        ),
        *beyond("fc"),
    ),
    beside_published=beside_published("fc", "fc"),
)

SOTA = Section(
    "sota",
    number="4.5",
    title="ResNet18 and ViT",
    target="sota",
    covers="fgrad.paper.scale:sota",
    summaries=(
        Summary("sota", runs=("sota",), makes="fgrad.paper.summary:networks"),
        Summary("sota_curves", runs=("sota",), makes="fgrad.paper.summary:network_curves"),
        Summary("sota_seeds", runs=("sota",), makes="fgrad.paper.seeds:networks"),
    ),
    figures=(
        Figure(
            "sota_training",
            draws="fgrad.paper.figures.training:draw",
            of=("sota_curves",),
            values=("log_train_loss", "val_accuracy"),
            caption="The paper, section 4.5: forward gradients train ResNet18 and ViT too, the "
            "better the more tangents, but the gap to backpropagation grows with the size. With "
            "{rates}; of the loss the {log_mean}; of the accuracy the {mean}; epoch 0 before any "
            "step; a seed that has stopped keeps its last value; crosses: a seed diverged. The "
            "axis of the loss ends two decades below the lowest of the forward gradients. See the "
            "claims *more-tangents-classify-better* and *gap-grows-with-size*.",
        ),
        Figure(
            "sota_tangents",
            draws="fgrad.paper.figures.tangents:draw",
            of=("sota",),
            values=("test_accuracy",),
            caption="The paper, section 4.5: more tangents classify better, the projection at "
            "least as well as the mean, and the gap to backpropagation grows with the size. Test "
            "accuracy at the epoch of the lowest validation loss, with {rates}: the {mean}; "
            "dotted: from the single tangent of the mean, whose direction is the projection's "
            "too, to the projection. See the claims *more-tangents-classify-better*, "
            "*projection-classifies-better* and *gap-grows-with-size*.",
        ),
        _time("sota", "4.5"),
        Figure(
            "sota_equal_time",
            draws="fgrad.paper.figures.equal_time:draw",
            of=("sota_curves",),
            values=("val_accuracy", "seconds"),
            caption=EQUAL_TIME.format(section="4.5", name="sota"),
        ),
    ),
    tables=(
        Table(
            "sota_learning_rates",
            makes="fgrad.paper.tables.functions:learning_rates",
            of=("sota",),
            caption=RATES_CAPTION,
        ),
        Table(
            "sota_accuracy",
            makes="fgrad.paper.tables.networks:accuracy",
            of=("sota",),
            caption=ACCURACY_CAPTION + "{covers}",
            metrics=("test_accuracy_percent",),
        ),
    ),
    claims=(
        Claim(
            "more-tangents-classify-better",
            statement="More tangents classify better, for ResNet18 and ViT.",
            check="fgrad.paper.claims.networks:more_tangents_classify_better",
            of=("sota_seeds",),
        ),
        Claim(
            "projection-classifies-better",
            statement="With the same tangents the projection classifies at least as well as the "
            "mean.",
            check="fgrad.paper.claims.networks:projection_classifies_better",
            of=("sota_seeds",),
        ),
        Claim(
            "gap-grows-with-size",
            statement="The gap in accuracy to backpropagation grows with the tangent space's "
            "dimension n.",
            check="fgrad.paper.claims.networks:gap_in_accuracy_grows",
            of=("sota_seeds",),
        ),
        *beyond("sota"),
    ),
    beside_published=beside_published("sota", "sota"),
)
