import pytest
import torch

from engine.transport import (
    TransportError,
    attention_marginal,
    idf_marginal,
    learned_marginal,
    norm_marginal,
    uniform_marginal,
)

MASK = torch.tensor([[True, True, False, True], [False, True, False, False]])


def test_uniform_mass() -> None:
    expected = torch.tensor([[1 / 3, 1 / 3, 0, 1 / 3], [0, 1, 0, 0]])
    for mask in (MASK, MASK.long(), MASK.float()):
        torch.testing.assert_close(uniform_marginal(mask), expected)


def test_norm_mass_is_in_proportion_to_length_and_takes_no_gradient() -> None:
    vectors = torch.tensor([[[3.0, 4.0], [0.0, 1.0], [9.0, 9.0], [0.0, 2.0]]], requires_grad=True)
    masses = norm_marginal(vectors, MASK[:1])
    torch.testing.assert_close(masses, torch.tensor([[5 / 8, 1 / 8, 0, 2 / 8]]))
    assert not masses.requires_grad


def test_idf_mass_is_in_proportion_to_idf_and_ignores_garbage_under_the_mask() -> None:
    idf = torch.tensor([[1.0, 0.0, float("nan"), 3.0], [float("inf"), 7.0, -1.0, 2.0]])
    torch.testing.assert_close(idf_marginal(idf, MASK), torch.tensor([[0.25, 0, 0, 0.75], [0, 1, 0, 0]]))


def test_attention_mass_is_the_share_of_attention_among_counted_tokens() -> None:
    attention = torch.tensor([[0.1, 0.3, 0.5, 0.1], [0.7, 0.2, 0.0, 0.1]], requires_grad=True)
    masses = attention_marginal(attention, MASK)
    torch.testing.assert_close(masses, torch.tensor([[0.2, 0.6, 0, 0.2], [0, 1, 0, 0]]))
    assert not masses.requires_grad


def test_learned_mass_is_a_softmax_over_counted_tokens_and_has_its_gradient() -> None:
    logits = torch.tensor([[0.0, 2.0, 99.0, 1.0]], dtype=torch.float64, requires_grad=True)
    masses = learned_marginal(logits, MASK[:1])
    kept = torch.tensor([0.0, 2.0, 1.0], dtype=torch.float64).softmax(0)
    torch.testing.assert_close(masses[0, [0, 1, 3]], kept)
    assert float(masses[0, 2].detach()) == 0.0
    assert torch.autograd.gradcheck(lambda x: learned_marginal(x, MASK[:1]), (logits,))


def test_bf16_vectors_give_float32_masses() -> None:
    vectors = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    masses = norm_marginal(vectors, MASK)
    assert masses.dtype == torch.float32
    assert torch.equal(masses, norm_marginal(vectors.float(), MASK))


@pytest.mark.parametrize(
    "make",
    [
        uniform_marginal,
        lambda mask: idf_marginal(torch.ones(2, 3), mask),
        lambda mask: attention_marginal(torch.ones(2, 3), mask),
        lambda mask: learned_marginal(torch.ones(2, 3), mask),
    ],
)
def test_a_row_without_tokens_is_refused(make) -> None:
    with pytest.raises(ValueError, match=r"row 1 has no token that counts.*leave it out$"):
        make(torch.tensor([[1, 0, 0], [0, 0, 0]]))


def test_a_row_whose_weights_are_all_zero_is_refused() -> None:
    with pytest.raises(TransportError, match="all tokens of row 0 have weight zero"):
        idf_marginal(torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(TransportError, match="all tokens of row 0 have weight zero"):
        attention_marginal(torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(TransportError, match="all tokens of row 0 have weight zero"):
        norm_marginal(torch.zeros(1, 2, 3), torch.ones(1, 2))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_not_a_mass_is_refused(weight: float) -> None:
    with pytest.raises(TransportError, match="negative or not finite"):
        idf_marginal(torch.tensor([[1.0, weight]]), torch.ones(1, 2))


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(TransportError, match="disagree in shape"):
        idf_marginal(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(TransportError, match="disagree in shape"):
        norm_marginal(torch.ones(2, 3, 5), torch.ones(2, 4))
    for make in (attention_marginal, learned_marginal):
        with pytest.raises(TransportError, match="disagree in shape"):
            make(torch.ones(2, 3), torch.ones(2, 4))
