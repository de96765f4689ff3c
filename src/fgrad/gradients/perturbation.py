"""Gradients of a network from perturbed activations or weights (sections 4.4 and 4.5).

What the tangents perturb, `activations` of a chain of blocks (`fgrad.gradients.chain`) or `weights`
of any module, and where directional derivatives come from are looked up in
`fgrad.gradients.registry.MODES`: from the true gradients (``sim``: the same numbers, cheaper) or
from forward-mode differentiation (``fwad``). For the same tangents both give the same gradient, and
k ≥ n independent tangents give ∇f. Where that cannot be, the network is refused.

Source: the paper, sections 3, 4.4 and 4.5.
"""

import operator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fgrad.gradients.approach import Approach, has_law, named
from fgrad.gradients.blocks import Blocks, Loss
from fgrad.gradients.explicit import Tangents
from fgrad.gradients.inputs import tensors
from fgrad.gradients.jacobians import vjp
from fgrad.gradients.kernels import compiled
from fgrad.gradients.registry import MODES
from fgrad.gradients.stateful import begun
from fgrad.gradients.tail import attached

CROSS_ENTROPY: Loss = partial(cross_entropy, reduction="none")


class Perturbation:
    r"""Fills ``.grad`` of a network's parameters with a gradient estimate; any optimiser goes on.

    Tangents of weights give an estimate of ∇f itself. Tangents of activations live in the outputs
    $a = (a_1, a_2, \dots)$ of all blocks of a chain, $a_i = B_i(a_{i-1}; \theta_i)$. Each sample b
    of a batch has an estimate g of its own ∂f/∂a, which the blocks bring to their parameters:

    $$\frac{\partial f}{\partial \theta_i} \approx \sum_b
    \left(\frac{\partial a_i^{(b)}}{\partial \theta_i}\right)^\top g_i^{(b)}.$$

    A call is a forward and a backward pass in one: it changes running statistics and random states
    once, as a plain pass does. It overwrites ``.grad``, unless told to ``accumulate``.

    Args:
        network: for tangents of activations a chain, an `nn.Sequential` whose children, in order,
            are the blocks; any module otherwise.
        approach: sampler, aggregation and options, or one of
            `fgrad.gradients.approach.APPROACHES` by name; without an aggregation it is
            backpropagation.
        k: number of tangents.
        generator: tangents are drawn from it, on its device; the network's device. ``None`` seeds
            one with 0.
        loss: (outputs [B, …], targets [B, …]) → a loss for each sample [B]; its mean is minimised.
        perturb: what the tangents perturb.
        mode: where directional derivatives come from.
        sampling: of ``weights`` in ``sim``: drawn one by one (``explicit``, O(k n) memory), or the
            estimate sampled from its exact law (``exact``, O(n) for any k). ``auto`` is exact where
            a law is known.
        chunk: tangents of one forward-mode pass; ``None`` for all at once.
        scaler: whose scale the losses, and so ``.grad``, are multiplied by, as
            ``scaler.scale(loss).backward()`` would; needed for autocast in float16.

    Raises:
        ValueError: if options contradict each other, or activations of what is no chain are to be
            perturbed; when called, if the blocks do not compose, something in the network or the
            loss cannot be derived, or the loss is not one number for each sample.
        MemoryError: when called, if the explicit tangents do not fit in memory.

    Examples:
        >>> chain = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 3))
        >>> gradient = Perturbation(chain, Approach(aggregation="projection"), k=4)
        >>> optimizer = torch.optim.SGD(chain.parameters(), lr=0.1)
        >>> loss = gradient(torch.randn(16, 4), torch.zeros(16, dtype=torch.long))
        >>> optimizer.step()
    """

    def __init__(
        self,
        network: nn.Module,
        approach: Approach | str,
        k: int | None = None,
        generator: torch.Generator | None = None,
        *,
        loss: Loss = CROSS_ENTROPY,
        perturb: Literal["activations", "weights"] = "activations",
        mode: Literal["sim", "fwad"] = "sim",
        sampling: Literal["auto", "exact", "explicit"] = "auto",
        chunk: int | None = None,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        approach = named(approach)
        if approach.estimates != (k is not None):
            raise ValueError(f"k = {k}: backpropagation has no tangents, an estimate needs some")
        k, chunk = _count("k", k), _count("chunk", chunk)
        for name, value, allowed in (
            ("perturb", perturb, ("activations", "weights")),
            ("mode", mode, ("sim", "fwad")),
            ("sampling", sampling, ("auto", "exact", "explicit")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} = {value!r}; allowed: {', '.join(allowed)}")
        if approach.estimator is not None and (perturb, mode) != ("weights", "sim"):
            raise ValueError("a whole gradient needs perturb weights and mode sim")
        lawful = has_law(approach) and perturb == "weights" and mode == "sim"
        if sampling == "exact" and not lawful:
            raise ValueError(
                "sampling exact needs perturb weights, mode sim, normal tangents and an "
                "aggregation whose law is known"
            )
        _check_network(network, None if k is None else perturb)
        self.chain, self.k, self.loss = network, k, loss
        self.perturb, self.chunk, self.scaler = perturb, chunk, scaler
        self.exact = lawful and sampling != "explicit"
        if generator is None:
            device = next((p.device for p in network.parameters()), None)
            generator = torch.Generator(device or "cpu").manual_seed(0)
        self.generator = generator
        whole = perturb == "weights" or type(network).forward is not nn.Sequential.forward
        self._blocks = Blocks(network, loss if scaler is None else _Scaled(loss, scaler), whole)
        self.approach = approach = begun(approach)
        self._tangents = None if k is None else Tangents(approach, k, generator, chunk)
        kind = f"{perturb}-{'exact' if self.exact else mode}"
        kind = "weights-whole" if approach.estimator is not None else kind
        self._gradient = MODES["backpropagation" if k is None else kind]

    def __call__(self, x: Any, y: Any, accumulate: bool = False) -> Tensor:
        """Set ``.grad`` of every parameter that requires a gradient.

        Args:
            x: inputs [B, …]; to a module that is no chain also a tuple of its arguments or a dict
                of them by name.
            y: targets [B, …], whatever the loss takes.
            accumulate: add to the ``.grad`` that is there, as ``backward`` does.

        Returns:
            The mean loss before any step, detached.
        """
        every = list(self.chain.parameters())
        parameters = [p for p in every if p.requires_grad]
        if self.scaler is None and _in_float16(self.generator.device.type):
            raise ValueError(
                "autocast in float16 loses small gradients: Perturbation(…, scaler=GradScaler()), "
                "or autocast in bfloat16"
            )
        _check_inference(x)
        self._blocks.sizes(x, y, step=True)
        if self._tangents is not None:
            _check_devices(parameters, self.generator)
        before = [p.grad for p in every]
        for parameter in every:
            parameter.grad = None
        try:
            with torch.enable_grad():
                loss = self._gradient(self._blocks, self._tangents, x, y)
        except BaseException:
            for parameter, grad in zip(every, before, strict=True):
                parameter.grad = grad
            raise
        if accumulate:
            for parameter, grad in zip(every, before, strict=True):
                if grad is not None:
                    parameter.grad = grad if parameter.grad is None else grad + parameter.grad
        for parameter in parameters:
            for hook in (parameter._post_accumulate_grad_hooks or {}).values():
                hook(parameter)
        return loss if self.scaler is None else loss / self.scaler.get_scale()

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters whose gradient is estimated, in the order of the weight tangents."""
        return self._blocks.parameters

    def true_gradient(self, x: Any, y: Any) -> list[Tensor]:
        """∇f of the mean loss for each of `parameters`, by backpropagation; nothing is changed."""
        _check_inference(x)
        self._blocks.sizes(x, y)
        with self._blocks.kept(), torch.enable_grad():
            found = vjp(self._blocks.mean_loss(x, y), self.parameters)
        scale = 1.0 if self.scaler is None else self.scaler.get_scale()
        return found if scale == 1 else [g / scale for g in found]

    def n(self, x: Any, y: Any) -> int:
        """Dimension of the space the tangents live in, for such inputs and targets.

        Raises:
            ValueError: as a call would.
            MemoryError: as a call would.
        """
        _check_inference(x)
        sizes = self._blocks.sizes(x, y)
        parameters = sum(p.numel() for p in self.parameters)
        n = parameters if self.perturb == "weights" else sum(sizes)
        if self._tangents is not None and not self.exact:
            self._tangents.check(n, self._blocks.dtype)
        return n


@dataclass
class _Scaled:
    """A loss, scaled."""

    unscaled: Loss
    scaler: torch.amp.GradScaler

    def __call__(self, outputs: Any, y: Any) -> Tensor:
        scaled: Tensor = self.scaler.scale(self.unscaled(outputs, y))
        return scaled


def _check_inference(x: Any) -> None:
    if torch.is_inference_mode_enabled() or any(t.is_inference() for t in tensors(x)):
        raise ValueError("under torch.inference_mode() nothing can be derived: use torch.no_grad()")


def _count(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool):
        raise ValueError(f"{name} = {value!r}: at least one tangent is needed, a whole number")
    return count


def _check_network(network: nn.Module, perturb: str | None) -> None:
    """Refuse what would be run otherwise than it stands there; backpropagation takes any module."""
    kind = type(network).__name__
    if not isinstance(network, nn.Module):
        raise ValueError(f"network = {kind}; a torch.nn.Module is needed")
    if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise ValueError(f"{kind} would not see these gradients; give its .module instead")
    if perturb != "activations":
        return
    if compiled(network):
        raise ValueError(
            "a compiled chain has no blocks to be perturbed: compile the blocks instead, or give "
            "the chain that was compiled"
        )
    if not isinstance(network, nn.Sequential) or type(network).forward is not nn.Sequential.forward:
        raise ValueError(
            f"{kind} is no chain of blocks: chain(module, blocks, example=x) makes one, or perturb "
            "weights, which takes any module"
        )
    if attached(network):
        raise ValueError(
            "the chain itself has hooks or a forward of its own, which no block would run; attach "
            "them to its blocks"
        )


def _check_devices(parameters: list[nn.Parameter], generator: torch.Generator) -> None:
    where = {p.device for p in parameters}
    own = torch.empty(0, device=generator.device).device  # with its index
    if where != {own}:
        names = ", ".join(sorted(map(str, where)))
        raise ValueError(f"parameters on {names}, the generator on {generator.device}")


def _in_float16(device: str) -> bool:
    """Whether an autocast in float16 is on."""
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
