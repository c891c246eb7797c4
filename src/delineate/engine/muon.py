"""Muon: momentum made orthogonal, for the weights that are matrices; AdamW for the rest.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; scaled as in Liu et al. 2025,
"Muon is Scalable for LLM Training", section 2.2, so that AdamW's learning rate and weight decay serve both.
A step changes all directions of a weight alike, also those that the gradient hardly shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration (Jordan et al. 2024)
SMALLEST = 16  # weights with a shorter side are left to AdamW: biases, norms, last layers, depthwise kernels


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """The nearest (half-)orthogonal matrix, roughly: all singular values come to lie around 1.

    Args:
        matrices: (..., rows, columns).
        steps: of the Newton-Schulz iteration.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon takes it: a convolution counts as (outputs, inputs x kernel)."""
    return parameter.ndim > 1 and min(len(parameter), parameter[0].numel()) >= SMALLEST


class Muon(Optimizer):
    """Muon and AdamW in one optimiser.

    Args:
        groups: parameter groups with ``weight_decay`` each.
        lr: learning rate, as for AdamW.
        momentum: of the matrices' gradients, Nesterov's way.
        betas: AdamW's, for the rest.
        eps: AdamW's.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(
            groups, {"lr": lr, "weight_decay": 0.0, "momentum": momentum, "betas": betas, "eps": eps}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``closure`` may compute the loss anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                change = self._orthogonal if is_matrix(parameter) else self._adam
                parameter.sub_(change(parameter, group), alpha=group["lr"])
        return loss

    def _orthogonal(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        gradient: Tensor = parameter.grad  # type: ignore[assignment]
        momentum.mul_(group["momentum"]).add_(gradient)
        ahead = momentum * group["momentum"] + gradient
        flat = ahead.reshape(len(parameter), -1)
        scale = 0.2 * max(flat.shape) ** 0.5  # a step as long as AdamW's usual one
        step: Tensor = (orthogonal(flat) * scale).reshape(parameter.shape)
        return step

    def _adam(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        count = float(state["step"])
        state["mean"].lerp_(parameter.grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
        root = (state["square"] / (1 - beta2**count)).sqrt_().add_(group["eps"])
        result: Tensor = state["mean"] / (1 - beta1**count) / root
        return result
