import numpy as np
import torch
from scipy.spatial.distance import cdist

from engine.transport import cosine_cost, squared_euclidean_cost


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_costs_equal_scipys_distances() -> None:
    x, y = vectors(3, 5, 8), vectors(3, 7, 8, seed=1)
    for function, metric in ((cosine_cost, "cosine"), (squared_euclidean_cost, "sqeuclidean")):
        expected = np.stack([cdist(a, b, metric) for a, b in zip(x.numpy(), y.numpy(), strict=True)])
        np.testing.assert_allclose(function(x, y).numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(function(x.float(), y.float()).numpy(), expected, atol=1e-5)


def test_leading_dimensions_broadcast_to_all_pairs() -> None:
    x, y = vectors(3, 5, 8), vectors(4, 7, 8, seed=1)
    for function in (cosine_cost, squared_euclidean_cost):
        pairs = function(x[:, None], y[None])
        assert pairs.shape == (3, 4, 5, 7)
        torch.testing.assert_close(pairs[2, 1], function(x[2], y[1]))


def test_length_of_a_vector_does_not_change_its_cosine_cost() -> None:
    x, y = vectors(2, 5, 8), vectors(2, 7, 8, seed=1)
    torch.testing.assert_close(cosine_cost(1e-3 * x, 1e5 * y), cosine_cost(x, y))


def test_zero_vectors_cost_one_and_get_no_gradient() -> None:
    x, y = vectors(1, 3, 4).float(), vectors(1, 2, 4, seed=1).float()
    x[0, 1] = 0.0
    x.requires_grad_()
    cost = cosine_cost(x, y)
    assert (cost[0, 1] == 1.0).all()
    cost.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert (x.grad[0, 1] == 0.0).all() and (x.grad[0, 0] != 0.0).any()


def test_squared_distances_of_near_equal_vectors_are_not_negative() -> None:
    x = 100.0 + 1e-3 * vectors(1, 20, 16).float()
    assert (squared_euclidean_cost(x, x) >= 0).all()


def test_costs_are_float32_under_autocast() -> None:
    x, y = vectors(2, 5, 64).float(), vectors(2, 7, 64, seed=1).float()
    for function in (cosine_cost, squared_euclidean_cost):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = function(x, y)
        assert inside.dtype == torch.float32
        assert torch.equal(inside, function(x, y))
        rounded = x.bfloat16(), y.bfloat16()
        assert torch.equal(function(*rounded), function(rounded[0].float(), rounded[1].float()))
