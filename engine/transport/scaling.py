"""The iteration of Sinkhorn and IPOT: scale a kernel until its marginals are met."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

SAFE_DRIFT = 15.0  # largest |log| of a scaling factor for which the kernel it scales is still exact enough
NEGLIGIBLE = 28.0  # kernel entries within this |log| of the smallest normal number count as zero


def scale(
    log_kernel: Tensor, u: Tensor, v: Tensor, source: Tensor, target: Tensor, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Do `steps` Sinkhorn iterations on exp(`log_kernel`) from the log scaling factors `u` and `v`.

    One iteration is u = log a - LSE_j(L + v), v = log b - LSE_i(L + u) (Peyré and Cuturi 2019,
    "Computational Optimal Transport", section 4.4). It uses the stabilised kernel exp(L + u + v), which
    absorbs the factors found so far (Schmitzer 2019, arXiv 1610.06519): this takes a few multiplications
    instead of a logarithm and an exponential for each entry. A problem whose factors change so much within
    the call that underflow could matter is solved again in the log domain.

    Parameters
    ----------
    log_kernel : Tensor (B, Q, D)
        -C/ε, with a zero in every row and column; anything finite where masked.
    u, v : Tensor (B, Q), (B, D)
        Log scaling factors to start from, -inf where masked. The plan after the call depends on `v` only.
    source, target : Tensor (B, Q), (B, D)
        Marginals with a total of one; 0 where masked.
    steps : int
        Number of iterations, at least 1.

    Returns
    -------
    u, v : Tensor (B, Q), (B, D)
        Log scaling factors, -inf where masked.
    plan : Tensor (B, Q, D)
        exp(u + L + v). Its columns equal `target` up to rounding; its rows approach `source`.
    """
    plan = (log_kernel + u.unsqueeze(2)).add_(v.unsqueeze(1))
    # Entries this small stay negligible within the safe drift. Subnormal numbers are slow on a CPU, and so
    # are infinite arguments of exp.
    least = math.log(torch.finfo(plan.dtype).tiny) + NEGLIGIBLE
    torch.threshold_(plan.clamp_min_(least).exp_(), 2.0 * math.exp(least), 0.0)
    no_source, no_target = source == 0, target == 0
    pad_source, pad_target = no_source.to(plan.dtype), no_target.to(plan.dtype)
    work = torch.empty_like(plan)
    p, q = torch.ones_like(source), torch.ones_like(target)
    for _ in range(steps):
        # not a matrix product, which may run in TF32 or bf16 and would make the marginals inexact
        p = source / torch.mul(plan, q.unsqueeze(1), out=work).sum(2).add_(pad_source)
        q = target / torch.mul(plan, p.unsqueeze(2), out=work).sum(1).add_(pad_target)
    plan.mul_(p.unsqueeze(2)).mul_(q.unsqueeze(1))
    p.log_(), q.log_()
    drift = torch.cat((p.masked_fill(no_source, 0.0), q.masked_fill(no_target, 0.0)), 1).abs_().amax(1)
    unsafe = ~(drift <= SAFE_DRIFT)  # so that NaN is unsafe too
    p, q = p.add_(u), q.add_(v)
    if bool(unsafe.any()):
        p[unsafe], q[unsafe], plan[unsafe] = _in_log_domain(
            log_kernel[unsafe], v[unsafe], source[unsafe], target[unsafe], steps
        )
    return p, q, plan


def _in_log_domain(
    log_kernel: Tensor, v: Tensor, source: Tensor, target: Tensor, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    log_source, log_target = source.log(), target.log()
    u = log_source
    for _ in range(steps):
        u = log_source - (log_kernel + v.unsqueeze(1)).logsumexp(2)
        v = log_target - (log_kernel + u.unsqueeze(2)).logsumexp(1)
    # The order of summation is that of the last logsumexp, so no entry exceeds the mass of its column even
    # where |L| is huge. The remaining rounding error is removed from the columns.
    plan = (log_kernel + u.unsqueeze(2)).add_(v.unsqueeze(1)).exp_()
    columns = plan.sum(1)
    return u, v, plan.mul_((target / columns.masked_fill_(columns == 0, 1.0)).unsqueeze(1))
