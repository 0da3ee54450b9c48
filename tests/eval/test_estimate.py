"""A number or a reason: never both lost, never read back wrong."""

import dataclasses

import pytest
from pydantic import TypeAdapter, ValidationError

from eval.estimate import Estimate, undefined


def test_a_number_that_is_not_there_is_not_a_float():
    assert float(Estimate(value=0.25)) == 0.25
    with pytest.raises(ValueError, match="undefined: nobody came"):
        float(undefined("nobody came"))


def test_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Estimate(value=0.5).value = 0.6  # type: ignore[misc]


def test_an_unknown_field_in_metrics_json_is_an_error():
    read = TypeAdapter(Estimate).validate_python
    assert read({"value": 0.5, "method": "wilson"}) == Estimate(value=0.5, method="wilson")
    with pytest.raises(ValidationError, match="upper"):
        read({"value": 0.5, "upper": 0.7})
