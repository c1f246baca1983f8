"""The settings with which a run's plans are solved again."""

from __future__ import annotations

from engine.config import DistilConfig, TransportConfig
from engine.inspect.plan import transport_settings


def test_a_solver_does_its_own_number_of_iterations() -> None:
    assert (TransportConfig().iterations, TransportConfig(solver="ipot").iterations) == (500, 50)
    assert TransportConfig(solver="ipot", iterations=70).iterations == 70
    run = DistilConfig.model_validate(
        {"bitext": [{"path": "x", "language": "so"}], "transport": {"iterations": 80}}
    )
    assert transport_settings(run, {"epsilon": 0.2}).iterations == 80
    assert transport_settings(run, {"solver": "ipot"}).iterations == 50
    assert transport_settings(run, {"solver": "ipot", "iterations": 9}).iterations == 9
