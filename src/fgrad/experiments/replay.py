"""Work on batches that a GPU is told once and then repeats: CUDA graphs.

A step of a small network is a hundred kernels that take less than their launches. Recorded as a
graph they are launched by one call; the kernels, their order and what they draw stay the same, and
so do all bits of the results.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

WARM = 10
"""Calls before the recording: lazily made handles and workspaces, and what is looked at at first
(`fgrad.gradients.blocks.Blocks.sizes`: at calls 1 and 8), are not for a graph."""


class Replay:
    """Work on one batch after the other, which fills the parameters' ``.grad``.

    Args:
        work: (indices of the batch) → nothing. Its kernels must depend on nothing but tensors that
            stay where they are and on the generators; work that waits for the device is never
            recorded.
        size: of the batches that are recorded; others are worked on as they come.
        parameters: whose ``.grad`` the work makes.
        generators: all that the work draws from, on the device.
    """

    def __init__(
        self,
        work: Callable[[Tensor], None],
        size: int,
        parameters: Sequence[nn.Parameter],
        generators: Iterable[torch.Generator],
    ) -> None:
        self.work, self.size, self.parameters = work, size, parameters
        self.generators = list(generators)
        self.calls = 0
        self.waits = False
        self.graph: torch.cuda.CUDAGraph | None = None
        self.index = torch.empty(0)
        self.grads: list[Tensor | None] = []

    def __call__(self, index: Tensor) -> None:
        """Do the work."""
        if len(index) != self.size or self.waits:
            self.work(index)
        elif self.graph is not None:
            self.index.copy_(index)
            self.graph.replay()
            for parameter, grad in zip(self.parameters, self.grads, strict=True):
                parameter.grad = grad
        else:
            self.calls += 1
            if self.calls < WARM:
                self.work(index)
            elif self.calls == WARM:
                self.waits = _waits(self.work, index)
            else:
                self._record(index)
                self(index)

    def _record(self, index: Tensor) -> None:
        self.index = index.clone()
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.work(self.index)
        self.graph, self.grads = graph, [p.grad for p in self.parameters]


def _waits(work: Callable[[Tensor], None], index: Tensor) -> bool:
    """Do the work, and say whether it has waited for the device."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            work(index)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return any("synchroniz" in str(warning.message) for warning in said)
