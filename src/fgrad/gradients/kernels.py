"""Kernels that have a derivative in forward mode, in place of the fused ones that have none."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


def compiled(module: nn.Module) -> bool:
    """Whether a module runs through ``torch.compile``."""
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None


@contextmanager
def differentiable(network: nn.Module) -> Iterator[None]:
    """Inside, passes take plain kernels: the same numbers up to rounding, and a forward derivative.

    Of attention everywhere, of recurrent layers, and of compiled modules where the network has
    them. All switches are put back.
    """
    modules = list(network.modules())
    recurrent = any(isinstance(m, nn.RNNBase) for m in modules)
    mha, mkldnn, cudnn = torch.backends.mha, torch.backends.mkldnn, torch.backends.cudnn
    fast, dnn = mha.get_fastpath_enabled(), (mkldnn.enabled, cudnn.enabled)
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(map(compiled, modules)):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        mha.set_fastpath_enabled(False)
        if recurrent:
            mkldnn.enabled = cudnn.enabled = False  # type: ignore[assignment]  # read as bool
        try:
            yield
        finally:
            mha.set_fastpath_enabled(fast)
            if recurrent:
                mkldnn.enabled, cudnn.enabled = dnn
