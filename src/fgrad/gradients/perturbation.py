"""Gradients of a network from perturbed activations or weights (sections 4.4 and 4.5).

A network is a chain of blocks, aᵢ = Bᵢ(aᵢ₋₁): an `nn.Sequential` whose children are the blocks.

* *Activations*: the tangent space is the concatenation of all block outputs of one sample, n = Σ
  sizes. The k tangents of a batch are shared by its samples; sample b has its own directional
  derivatives d_b = Vᵀ∇_{a_b}L and its own estimate of ∇_{a_b}L, and a block's parameter gradient is
  the block-local vector-Jacobian product of that.
* *Weights*: n is the number of parameters, and d is one vector for the whole batch.

Directional derivatives come from the true gradients (``sim``: the same numbers, cheaper) or from
forward-mode differentiation (``fwad``). For the same tangents both give the same gradient; batch
norm in training mode couples the samples of a batch, so there a sample's d differs and only the sum
over the batch agrees.

Source: the paper, sections 3, 4.4 and 4.5.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Literal

import psutil
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from fgrad.gradients.approach import Approach
from fgrad.gradients.estimators import coefficients, combine, draw
from fgrad.gradients.sampling import sample
from fgrad.gradients.tail import Tail, split

Part = str | nn.Module
Loss = Callable[[Tensor, Tensor], Tensor]
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
        tangents: of ``weights`` in ``sim``: drawn one by one (``explicit``, O(k n) memory), or the
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
        tangents: Literal["auto", "exact", "explicit"] = "auto",
        chunk: int | None = None,
    ) -> None:
        if (approach.aggregation is None) != (k is None):
            raise ValueError(f"k = {k}: backpropagation has no tangents, an aggregation needs some")
        if k is not None and k < 1:
            raise ValueError(f"k = {k}: at least one tangent is needed")
        for name, value, allowed in (
            ("perturb", perturb, ("activations", "weights")),
            ("mode", mode, ("sim", "fwad")),
            ("tangents", tangents, ("auto", "exact", "explicit")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} = {value!r}; allowed: {', '.join(allowed)}")
        lawful = approach.has_law and perturb == "weights" and mode == "sim"
        if tangents == "exact" and not lawful:
            raise ValueError(
                "tangents exact needs perturb weights, mode sim, normal tangents and an "
                "aggregation whose law is known"
            )
        self.chain, self.approach, self.k, self.loss = chain, approach, k, loss
        self.perturb, self.chunk = perturb, chunk
        self.exact = lawful and tangents != "explicit"
        if generator is None:
            device = next((p.device for p in chain.parameters()), None)
            generator = torch.Generator(device or "cpu").manual_seed(0)
        self.generator = generator
        self._sizes: dict[torch.Size, list[int]] = {}
        self._fitting: set[int] = set()
        self._in_place: set[int] = set()
        self._gradient = {
            ("activations", "sim"): self._simulated_activations,
            ("activations", "fwad"): self._forward_activations,
            ("weights", "sim"): self._simulated_weights,
            ("weights", "fwad"): self._forward_weights,
        }[perturb, mode]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Overwrite ``.grad`` of every parameter that requires a gradient.

        Args:
            x: inputs [B, …].
            y: targets [B, …].

        Returns:
            The mean loss before any step, detached.
        """
        sizes = self._measure(x, y)
        for parameter in self.parameters:
            parameter.grad = None
        if self.k is None:
            return self._backpropagate(x, y)
        return self._gradient(x, y, sizes)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters whose gradient is estimated, in the order of the weight tangents."""
        return [p for p in self.chain.parameters() if p.requires_grad]

    def true_gradient(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """∇f of the mean loss for each of `parameters`, by backpropagation; nothing is changed."""
        with _same_function(self.chain):
            loss = self._losses(self._outputs(x), y).mean()
            return _gradients(loss, self.parameters)

    def n(self, x: Tensor, y: Tensor) -> int:
        """Dimension of the space the tangents live in, for such inputs and targets.

        Raises:
            ValueError: as a call would.
            MemoryError: as a call would.
        """
        sizes = self._measure(x, y)
        parameters = sum(p.numel() for p in self.parameters)
        n = parameters if self.perturb == "weights" else sum(sizes)
        if self.k is not None and not self.exact:
            self._check(n)
        return n

    def _measure(self, x: Tensor, y: Tensor) -> list[int]:
        """Sizes of all block outputs of one sample; refuses blocks that do not compose."""
        if x.shape[1:] not in self._sizes:
            if not self.parameters:
                raise ValueError("no parameter of the chain requires a gradient")
            with _same_function(self.chain), torch.no_grad():
                outputs = [x]
                for i, (name, block) in enumerate(self.chain._modules.items()):
                    given = outputs[-1].clone()
                    version = given._version
                    outputs.append(_apply(name, block, given))
                    if given._version != version:
                        self._in_place.add(i)
                self._losses(outputs[-1], y)
            self._sizes[x.shape[1:]] = [a[0].numel() for a in outputs[1:]]
        return self._sizes[x.shape[1:]]

    def _block(self, i: int) -> Callable[[Tensor], Tensor]:
        """A block as a function that leaves its input as it was."""
        return lambda a: self.chain[i](self._given(i, a))

    def _given(self, i: int, a: Tensor) -> Tensor:
        """What a block is handed: a copy where it works in place."""
        return a.clone() if i in self._in_place else a

    def _outputs(self, x: Tensor) -> Tensor:
        """The chain as a function that leaves its input as it was."""
        outputs: Tensor = self.chain(self._given(0, x))
        return outputs

    def _losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        losses = self.loss(outputs, y)
        if losses.shape != (len(y),):
            raise ValueError(
                f"the loss has shape {list(losses.shape)}; one number for each of the {len(y)} "
                "samples is needed, without a reduction"
            )
        return losses

    def _draw(self, n: int) -> Tensor:
        assert self.k is not None
        if n not in self._fitting:
            self._check(n)
        return draw(self.approach, (self.k, n), self.generator, dtype=self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        """Of the tangents: float64 for a network in float64, else float32."""
        wide = any(p.dtype == torch.float64 for p in self.parameters)
        return torch.float64 if wide else torch.float32

    def _exactly(self) -> AbstractContextManager[object]:
        """The algebra of the tangents is not for the lower precision of an autocast around it."""
        return torch.autocast(self.generator.device.type, enabled=False)

    def _check(self, n: int) -> None:
        assert self.k is not None
        if self.k > n and self.approach.bounded:
            raise ValueError(f"k = {self.k}: {n} is the most independent tangents in n = {n}")
        size, device = self._dtype.itemsize, self.generator.device
        needed = size * self.k * n
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
        else:
            free = psutil.virtual_memory().available
        if needed > free:
            exact = (
                f", or perturb weights in mode sim with tangents exact, which need {2 * size * n:,}"
            )
            raise MemoryError(
                f"{self.k:,} explicit tangents of n = {n:,} take {needed:,} bytes, {free:,} are "
                f"free; take a smaller k{exact if self.approach.has_law else ''}"
            )
        self._fitting.add(n)

    def _backpropagate(self, x: Tensor, y: Tensor) -> Tensor:
        loss = self._losses(self._outputs(x), y).mean()
        _assign(self.parameters, _gradients(loss, self.parameters))
        return loss.detach()

    def _simulated_activations(self, x: Tensor, y: Tensor, sizes: list[int]) -> Tensor:
        """One forward pass through detached blocks; each block's graph serves two backward passes.

        The first carries ∇_{aᵢ}L from block to block and skips every parameter, the second brings
        the estimate to the parameters of its block and skips the block's input.
        """
        assert self.k is not None
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        tails: list[Tail | None] = []
        for i in range(len(self.chain)):
            inputs.append((outputs[-1] if outputs else x).detach().requires_grad_(bool(outputs)))
            given = self._given(i, inputs[-1])
            tail = split(self.chain[i], given) if self.k < len(x) else None
            tails.append(tail)
            outputs.append(self.chain[i](given) if tail is None else tail.output())
        last = outputs[-1].detach().requires_grad_()
        loss = self._losses(last, y).mean()
        deltas = [torch.autograd.grad(loss, last)[0]]
        for a, output in zip(inputs[:0:-1], outputs[:0:-1], strict=True):
            deltas += torch.autograd.grad(output, a, deltas[-1], retain_graph=True)
        deltas.reverse()
        with self._exactly():
            v = self._draw(sum(sizes))
            parts = v.split(sizes, dim=1)
            pairs = zip(deltas, parts, strict=True)
            d = _sum(a.flatten(1).to(v.dtype) @ part.mT for a, part in pairs)
            del deltas
            c = coefficients(self.approach, v, d)
            for block, tail, part in zip(self.chain, tails, parts, strict=True):
                self._local(block, outputs.pop(0), c, part, tail)
        return loss.detach()

    def _forward_activations(self, x: Tensor, y: Tensor, sizes: list[int]) -> Tensor:
        """Tangents carried forward block by block, then one block's graph at a time."""
        v = self._draw(sum(sizes))
        derivatives = []
        for some in v.split(self.chunk or len(v)):
            with _same_function(self.chain), torch.no_grad():
                inputs, losses, d = self._push(x, y, some.split(sizes, dim=1))
            derivatives.append(d / len(x))
        c = coefficients(self.approach, v, torch.cat(derivatives).mT)
        for i, (a, part) in enumerate(zip(inputs, v.split(sizes, dim=1), strict=True)):
            self._local(self.chain[i], self._block(i)(a), c, part)
        return losses.mean()

    def _push(
        self, x: Tensor, y: Tensor, parts: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Block inputs, losses [B] and their tangents [k, B]; ȧᵢ = Jᵢ ȧᵢ₋₁ + vᵢ."""
        inputs: list[Tensor] = []
        a, tangent = x, torch.zeros(())
        for i, part in enumerate(parts):
            inputs.append(a)
            if i == 0:
                a = self._block(i)(a)
            else:
                a, tangent = _jvp(self._block(i), a, tangent)
            new = part.view(-1, 1, *a.shape[1:]).expand(-1, *a.shape)
            tangent = new + tangent.to(new.dtype)
        losses, d = _jvp(lambda outputs: self._losses(outputs, y), a, tangent.to(a.dtype))
        return inputs, losses, d

    def _local(
        self, block: nn.Module, output: Tensor, c: Tensor, part: Tensor, tail: Tail | None = None
    ) -> None:
        """Parameter gradients of one block from the estimate of its output's gradient."""
        parameters = [p for p in block.parameters() if p.requires_grad]
        if not parameters:
            return
        estimate = combine(c, part).view(output.shape).to(output.dtype)
        if tail is None:
            _assign(parameters, _gradients(output, parameters, estimate))
            return
        weight, bias, hidden = tail.gradients(c.to(part.dtype), part)
        own = {id(tail.layer.weight): weight, id(tail.layer.bias): bias}
        mine = [p for p in parameters if id(p) in own]
        rest = [p for p in parameters if id(p) not in own]
        _assign(mine, [own[id(p)].to(p.dtype) for p in mine])
        _assign(rest, _gradients([tail.skip, tail.hidden], rest, [estimate, hidden]))

    def _simulated_weights(self, x: Tensor, y: Tensor, _: list[int]) -> Tensor:
        assert self.k is not None
        loss = self._losses(self._outputs(x), y).mean()
        parameters = self.parameters
        with self._exactly():
            gradient = torch.cat([g.flatten() for g in _gradients(loss, parameters)])
            if self.exact:
                estimate = sample(self.approach, gradient, self.k, self.generator)
            else:
                v = self._draw(len(gradient))
                estimate = combine(coefficients(self.approach, v, v @ gradient)[None], v)[0]
            _assign(parameters, _unflatten(estimate, parameters))
        return loss.detach()

    def _forward_weights(self, x: Tensor, y: Tensor, _: list[int]) -> Tensor:
        """Forward passes alone, no graph at all."""
        parameters = self.parameters
        names = [name for name, p in self.chain.named_parameters() if p.requires_grad]
        v = self._draw(sum(p.numel() for p in parameters))

        def mean_loss(values: tuple[Tensor, ...]) -> Tensor:
            named = dict(zip(names, values, strict=True))
            outputs = torch.func.functional_call(self.chain, named, (self._given(0, x),))
            return self._losses(outputs, y).mean()

        values = tuple(p.detach() for p in parameters)
        derivatives = []
        with torch.no_grad():
            for some in v.split(self.chunk or len(v)):
                with _same_function(self.chain):
                    tangents = tuple(_unflatten(some, parameters))
                    derivatives.append(_jvp(mean_loss, values, tangents)[1])
            loss = self._losses(self._outputs(x), y).mean()
        c = coefficients(self.approach, v, torch.cat(derivatives))
        _assign(parameters, _unflatten(combine(c[None], v)[0], parameters))
        return loss


def chain(module: nn.Module, blocks: Mapping[str, Part | Sequence[Part]]) -> nn.Sequential:
    """A network of the user's own as a chain, by naming its blocks; parameters are shared with it.

    Args:
        module: the network.
        blocks: for each block its parts, applied in order: names of submodules as
            `nn.Module.get_submodule` takes them, or modules such as ``nn.Flatten()`` for what the
            network's ``forward`` does by function calls.

    Returns:
        The chain.

    Raises:
        ValueError: if the module has no such submodule, a block has no parts or a dot in its name,
            or a parameter belongs to no block or to two (its gradient would be incomplete).
    """

    def find(part: Part) -> nn.Module:
        if isinstance(part, nn.Module):
            return part
        try:
            return module.get_submodule(part)
        except AttributeError:
            known = [name for name, _ in module.named_children()]
            raise ValueError(f"no submodule {part!r}; there are {', '.join(known)}") from None

    found = {}
    for name, parts in blocks.items():
        each = [parts] if isinstance(parts, str | nn.Module) else list(parts)
        if not each or "." in name:
            raise ValueError(f"block {name!r}: a name without dots and at least one part is needed")
        found[name] = nn.Sequential(*map(find, each)) if len(each) > 1 else find(each[0])
    made = nn.Sequential(OrderedDict(found))
    owners = [set(map(id, block.parameters())) for block in made]
    for name, parameter in module.named_parameters():
        count = sum(id(parameter) in own for own in owners)
        if count != 1:
            where = "no block" if count == 0 else f"{count} blocks"
            raise ValueError(f"parameter {name!r} belongs to {where}; it must belong to one")
    return made


@contextmanager
def _same_function(chain: nn.Module) -> Iterator[None]:
    """Passes inside compute what the next pass outside computes, and leave no trace.

    Running statistics stay as they are, dropout draws the masks it will draw again, and attention
    takes the one kernel that has a forward mode.
    """
    norms = [m for m in chain.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    kept = [(norm, dict(norm._buffers)) for norm in norms if norm.training]
    devices = {p.device for p in chain.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices), sdpa_kernel(SDPBackend.MATH):
        for norm, buffers in kept:
            norm._buffers.update(dict.fromkeys(buffers))
        try:
            yield
        finally:
            for norm, buffers in kept:
                norm._buffers.update(buffers)


def _apply(name: str, block: nn.Module, a: Tensor) -> Tensor:
    try:
        output = block(a)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if "alloc" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"block {name!r} does not take {list(a.shape)}: {reason}") from None
    if not isinstance(output, Tensor) or output.shape[:1] != a.shape[:1]:
        got = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"block {name!r} gives {got}; a tensor [{len(a)}, …] is needed")
    return output


def _jvp(f: Callable[[Any], Tensor], x: Any, tangents: Any) -> tuple[Tensor, Tensor]:
    """f(x) and J tᵢ for all i: the value is computed once, the tangents in one batch [k, …]."""

    def one(tangent: Any) -> Any:
        return torch.func.jvp(f, (x,), (tangent,))

    out_dims: Any = (None, 0)  # torch's types do not know None: the same for every tangent
    value, derivatives = torch.vmap(one, out_dims=out_dims, randomness="same")(tangents)
    return value, derivatives


def _gradients(
    outputs: Tensor | list[Tensor],
    parameters: list[nn.Parameter],
    cotangents: Tensor | list[Tensor] | None = None,
) -> list[Tensor]:
    """Vector-Jacobian product for each parameter; zeros for those without a part in the outputs."""
    found = torch.autograd.grad(
        outputs, parameters, cotangents, allow_unused=True, materialize_grads=True
    )
    return list(found)


def _assign(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Set the gradients; those of a parameter that several blocks share are summed."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def _unflatten(flat: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """[*, n] → a tensor [*, *shape] for each parameter."""
    parts = flat.split([p.numel() for p in parameters], dim=-1)
    pairs = zip(parts, parameters, strict=True)
    return [part.view(*flat.shape[:-1], *p.shape) for part, p in pairs]


def _sum(parts: Iterator[Tensor]) -> Tensor:
    total = next(parts)
    for part in parts:
        total = total + part
    return total
