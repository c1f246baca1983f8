"""Compare the time of our batched solvers with that of POT, in one process.

``python benchmarks/transport.py`` prints, for each batch, the median milliseconds of several interleaved
repeats, and how many times longer POT takes to solve the same problems to the same marginal error.
`ot.sinkhorn` and `ot.emd`, which solve one problem per call, are timed on a part of a large batch, and the
time is scaled up.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import ot
import torch
from torch import Tensor

from engine.transport import cosine_cost, solve, uniform_marginal

LOOPED = 64  # the largest number of problems for solvers that solve one at a time
MAX_ITERATIONS = 500


def problems(batch: int, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return cosine costs and marginals of token sets that share half of their direction."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, rows, 128, generator=generator)
    y = torch.randn(batch, columns, 128, generator=generator)
    shared = min(rows, columns)
    y[:, :shared] += 0.5 * x[:, :shared]
    masks = torch.ones(batch, rows), torch.ones(batch, columns)
    return cosine_cost(x, y), uniform_marginal(masks[0]), uniform_marginal(masks[1])


def medians(solvers: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median milliseconds of each solver; they alternate, so that other load affects all."""
    times: dict[str, list[float]] = {name: [] for name in solvers}
    for turn in range(repeats + 1):
        for name, solver_call in solvers.items():
            start = time.perf_counter()
            solver_call()
            if turn:  # the first is a warm-up
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(measured) for name, measured in times.items()}


def solve_in_loop(
    solver: Callable[[Tensor, Tensor, Tensor], object], *tensors: Tensor
) -> Callable[[], object]:
    return lambda: [solver(*problem) for problem in list(zip(*tensors, strict=True))[:LOOPED]]


def pot_threshold(cost: Tensor, a: Tensor, b: Tensor, epsilon: float, error: float) -> float:
    """Return the largest threshold at which the marginal error of POT's batch solver is at most `error`."""
    for threshold in (10.0**-k for k in range(1, 9)):
        plan = ot.batch.solve_batch(cost, reg=epsilon, a=a, b=b, max_iter=MAX_ITERATIONS, tol=threshold).plan
        if float((plan.sum(2) - a).abs().sum(1).max()) <= error:
            return threshold
    return 1e-8


def compare_entropic(batch: int, epsilon: float, repeats: int) -> str:
    cost, a, b = problems(batch, 24, 30)
    ours = solve(cost, a, b, epsilon=epsilon, iterations=MAX_ITERATIONS)
    threshold = pot_threshold(cost, a, b, epsilon, max(1e-4, float(ours.marginal_error.max())))
    settings = {"reg": epsilon, "a": a, "b": b, "max_iter": MAX_ITERATIONS, "tol": threshold}
    one_by_one = solve_in_loop(
        lambda c, s, t: ot.sinkhorn(s, t, c, epsilon, numItermax=MAX_ITERATIONS, stopThr=1e-4), cost, a, b
    )
    times = medians(
        {
            "sinkhorn": lambda: solve(cost, a, b, epsilon=epsilon, iterations=MAX_ITERATIONS),
            "ot.batch.solve_batch": lambda: ot.batch.solve_batch(cost, **settings),
            "looped ot.sinkhorn": one_by_one,
        },
        repeats,
    )
    times["looped ot.sinkhorn"] *= max(1.0, batch / LOOPED)
    iterations, converged = float(ours.iterations.float().mean()), float(ours.converged.float().mean())
    return (
        f"epsilon {epsilon:<5g}{format_times(times)}   {iterations:.0f} iterations, {converged:.0%} converged"
    )


def compare_exact(batch: int, repeats: int) -> str:
    cost, a, b = problems(batch, 24, 30)
    times = medians(
        {
            "exact": lambda: solve(cost, a, b, solver="exact"),
            "ipot, 50 steps": lambda: solve(cost, a, b, solver="ipot", epsilon=1.0),
            "looped ot.emd": solve_in_loop(lambda c, s, t: ot.emd(s, t, c), cost, a, b),
        },
        repeats,
    )
    times["looped ot.emd"] *= max(1.0, batch / LOOPED)
    return f"no epsilon   {format_times(times)}"


def format_times(times: dict[str, float]) -> str:
    first = next(iter(times.values()))
    return "".join(f"   {name} {time:7.1f} ms (x{time / first:.1f})" for name, time in times.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # POT warns when it reaches its maximum number of iterations
    print(f"torch {torch.__version__}, POT {ot.__version__}, {options.threads} threads, tolerance 1e-4")
    for batch in (32, 256, 1024):
        for epsilon in (0.1, 0.05, 0.02):
            print(f"{batch:5d} x 24 x 30, {compare_entropic(batch, epsilon, options.repeats)}")
        print(f"{batch:5d} x 24 x 30, {compare_exact(batch, options.repeats)}")


if __name__ == "__main__":
    main()
