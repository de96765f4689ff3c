"""Gradients of a network from perturbed activations or weights (sections 4.4 and 4.5).

A network is a chain of blocks (`fgrad.gradients.chain`). What the tangents perturb, `activations`
or `weights`, and where directional derivatives come from are looked up in
`fgrad.gradients.registry.MODES`: from the true gradients (``sim``: the same numbers, cheaper) or
from forward-mode differentiation (``fwad``). For the same tangents both give the same gradient;
batch norm in training mode couples the samples of a batch, so there a sample's derivatives differ
and only their sum over the batch agrees.

Source: the paper, sections 3, 4.4 and 4.5.
"""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fgrad.gradients.approach import Approach, has_law
from fgrad.gradients.chain import Blocks, Loss, same_function
from fgrad.gradients.explicit import Tangents
from fgrad.gradients.jacobians import vjp
from fgrad.gradients.registry import MODES

CROSS_ENTROPY: Loss = partial(cross_entropy, reduction="none")


class Perturbation:
    """Fills ``.grad`` of a chain's parameters with a gradient estimate; any optimiser goes on.

    Args:
        chain: its children, in order, are the blocks.
        approach: sampler, aggregation and options; without an aggregation it is backpropagation.
        k: number of tangents.
        generator: tangents are drawn from it, on its device; the chain's device. ``None`` seeds one
            with 0.
        loss: (outputs [B, …], targets [B, …]) → a loss for each sample [B]; its mean is minimised.
        perturb: what the tangents perturb.
        mode: where directional derivatives come from.
        sampling: of ``weights`` in ``sim``: drawn one by one (``explicit``, O(k n) memory), or the
            estimate sampled from its exact law (``exact``, O(n) for any k). ``auto`` is exact where
            a law is known.
        chunk: tangents of one forward-mode pass; ``None`` for all at once.

    Raises:
        ValueError: if options contradict each other; when called, if the blocks do not compose, or
            the loss is not one number for each sample.
        MemoryError: when called, if the explicit tangents do not fit in memory.

    Example:
        >>> chain = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 3))
        >>> gradient = Perturbation(chain, Approach(aggregation="projection"), k=4)
        >>> optimizer = torch.optim.SGD(chain.parameters(), lr=0.1)
        >>> loss = gradient(torch.randn(16, 4), torch.zeros(16, dtype=torch.long))
        >>> optimizer.step()
    """

    def __init__(
        self,
        chain: nn.Sequential,
        approach: Approach,
        k: int | None = None,
        generator: torch.Generator | None = None,
        *,
        loss: Loss = CROSS_ENTROPY,
        perturb: Literal["activations", "weights"] = "activations",
        mode: Literal["sim", "fwad"] = "sim",
        sampling: Literal["auto", "exact", "explicit"] = "auto",
        chunk: int | None = None,
    ) -> None:
        if (approach.aggregation is None) != (k is None):
            raise ValueError(f"k = {k}: backpropagation has no tangents, an aggregation needs some")
        if k is not None and k < 1:
            raise ValueError(f"k = {k}: at least one tangent is needed")
        for name, value, allowed in (
            ("perturb", perturb, ("activations", "weights")),
            ("mode", mode, ("sim", "fwad")),
            ("sampling", sampling, ("auto", "exact", "explicit")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} = {value!r}; allowed: {', '.join(allowed)}")
        lawful = has_law(approach) and perturb == "weights" and mode == "sim"
        if sampling == "exact" and not lawful:
            raise ValueError(
                "sampling exact needs perturb weights, mode sim, normal tangents and an "
                "aggregation whose law is known"
            )
        self.chain, self.approach, self.k, self.loss = chain, approach, k, loss
        self.perturb, self.chunk = perturb, chunk
        self.exact = lawful and sampling != "explicit"
        if generator is None:
            device = next((p.device for p in chain.parameters()), None)
            generator = torch.Generator(device or "cpu").manual_seed(0)
        self.generator = generator
        self._blocks = Blocks(chain, loss)
        self._tangents = None if k is None else Tangents(approach, k, generator, chunk)
        kind = f"{perturb}-{'exact' if self.exact else mode}"
        self._gradient = MODES["backpropagation" if k is None else kind]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Overwrite ``.grad`` of every parameter that requires a gradient.

        Args:
            x: inputs [B, …].
            y: targets [B, …].

        Returns:
            The mean loss before any step, detached.
        """
        self._blocks.sizes(x, y)
        for parameter in self.parameters:
            parameter.grad = None
        return self._gradient(self._blocks, self._tangents, x, y)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters whose gradient is estimated, in the order of the weight tangents."""
        return self._blocks.parameters

    def true_gradient(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """∇f of the mean loss for each of `parameters`, by backpropagation; nothing is changed."""
        with same_function(self.chain):
            return vjp(self._blocks.mean_loss(x, y), self.parameters)

    def n(self, x: Tensor, y: Tensor) -> int:
        """Dimension of the space the tangents live in, for such inputs and targets.

        Raises:
            ValueError: as a call would.
            MemoryError: as a call would.
        """
        sizes = self._blocks.sizes(x, y)
        parameters = sum(p.numel() for p in self.parameters)
        n = parameters if self.perturb == "weights" else sum(sizes)
        if self._tangents is not None and not self.exact:
            self._tangents.check(n, self._blocks.dtype)
        return n
