"""What every learning rate reached in the searches of section 4.3."""

import pandas as pd
from matplotlib.figure import Figure

from fgrad.paper.figures import angle_descent, look, search_functions, style


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: gradients; columns: numbers of tangents; one line for each angle, or one for all."""
    gradients = list(frame["gradient"].drop_duplicates())
    sizes = sorted(int(k) for k in frame["k"].unique())
    angles = sorted(float(a) for a in frame["angle_deg"].dropna().unique())
    figure = style.sheet(len(sizes) > 1, 1.9 * len(gradients) + 0.6)
    axes = figure.subplots(len(gradients), len(sizes), sharex=True, sharey=True, squeeze=False)
    for row, gradient in zip(axes, gradients, strict=True):
        for axis, k in zip(row, sizes, strict=True):
            part = style.of(frame, gradient, k)
            for angle in angles:
                colour = angle_descent.shade(gradient, angle)
                one = part[part["angle_deg"] == angle]
                how = {"color": colour, "marker": "o", "ls": angle_descent.line(angle, angles)}
                search_functions.line(axis, one, how)
            every = part[part["angle_deg"].isna()]
            search_functions.line(axis, every, {"color": look.colour(gradient), "marker": "o"})
            every_angle = ", every angle" if len(every) else ""
            axis.set_title(f"{style.label(gradient, k)}{every_angle}")
            if len(part):
                style.value_axis(axis, float(part["minimum"].iloc[0]))
            axis.label_outer()
    for axis in axes[-1]:
        axis.set_xlabel("learning rate")
    search_functions.legend(figure, frame, angle_descent.handles(angles))
    return figure
