"""Arguments of both sides are compared before any number, and a difference is named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import parity
from demucs_tf.models.config import DemucsConfig
from parity.cases import BY_NAME, signals
from parity.cases.case import Case
from parity.core.configuration import Arguments, compared, of_call
from parity.core.result import ParityError, Result, read_json, write_json
from parity.demucs import SUBJECT
from parity.demucs.arguments import of_port, of_reference
from parity.demucs.defaults import DEFAULTS
from parity.report import html, text
from parity.report.configuration import table
from parity.run import SUITE, make_port, make_reference

CASE = BY_NAME["demucs-dconv0"]


class Net:
    def __init__(self, sources: list[str], depth: int = 3, *, gelu: bool = True) -> None:
        pass


def _reasons(reference: Arguments, port: Arguments) -> list[str]:
    return [argument.reason for argument in compared(reference, port) if argument.differs]


def test_all_arguments_of_a_call_are_known() -> None:
    found = of_call(Net, (["a"],), {"gelu": False})
    assert found == Arguments(
        {"sources": ["a"], "depth": 3, "gelu": False}, {"depth": 3, "gelu": True}
    )


def test_a_difference_names_the_argument_and_both_values() -> None:
    reference = Arguments({"sources": ["a"], "depth": 3, "s": Fraction(39, 5)}, {"depth": 3})
    same = Arguments({"sources": ("a",), "depth": 3.0, "s": 7.8}, {"depth": 3})
    assert _reasons(reference, same) == []
    other = Arguments({**same.values, "depth": 4}, same.defaults)
    assert _reasons(reference, other) == ["argument depth: reference 3, port 4"]
    without = Arguments({"sources": ["a"], "depth": 3}, same.defaults)
    assert _reasons(reference, without) == ["argument s: reference 39/5, port (missing)"]
    assert _reasons(without, same) == ["argument s: reference (missing), port 7.8"]


def test_another_default_is_a_difference_though_the_values_are_the_same() -> None:
    reference, port = Arguments({"depth": 3}, {"depth": 6}), Arguments({"depth": 3}, {"depth": 5})
    assert _reasons(reference, port) == ["default of depth: reference 6, port 5"]
    given = Arguments({"depth": 3}, {})
    assert _reasons(given, Arguments({"depth": 3, "gelu": True}, {"depth": 5, "gelu": True})) == []


def _with(**changes: Any) -> Case:
    return replace(CASE, config={**CASE.config, **changes})


def _stored(**changes: Any) -> Result:
    """The case's golden against a port with other arguments."""
    suite = replace(SUITE, port=lambda case, dtype: make_port(_with(**changes), dtype))
    return suite.run_case(CASE, "float64")


def test_a_golden_knows_its_arguments() -> None:
    result = _stored()
    assert len(result.configuration) == 25
    assert (result.verdict, result.differences) == ("pass", [])
    assert "  25 arguments equal; " in text.summary(result)


def test_a_wrong_default_is_found_without_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The case is too small to hear where norms start: no number tells."""
    wrong = {**DemucsConfig.defaults(), "norm_starts": 3}
    monkeypatch.setattr(DemucsConfig, "defaults", classmethod(lambda cls: wrong))
    result = _stored()
    assert result.verdict == "fail"
    assert [a.reason for a in result.differences] == ["default of norm_starts: reference 4, port 3"]
    assert not result.failures


def test_numbers_follow_what_differs() -> None:
    result = _stored(gelu=False)
    assert [a.reason for a in result.differences] == ["argument gelu: reference True, port False"]
    assert result.verdict == "fail"
    assert result.first_divergence == "encoder.0.2"
    assert len(result.layers) == len(_stored().layers)


def test_other_steps_are_named_and_the_rest_is_reported() -> None:
    result = _stored(normalize=False)
    [reason] = [argument.reason for argument in result.differences]
    assert reason == "argument normalize: reference True, port False"
    assert ":denormalize: the reference's step has 3 input tensors" in result.coverage.missing[0]


def test_another_architecture_is_named_and_the_rest_is_reported(tmp_path: Path) -> None:
    result = _stored(channels=2 * CASE.config["channels"])
    [reason] = [argument.reason for argument in result.differences]
    values = CASE.config["channels"], 2 * CASE.config["channels"]
    assert reason == "argument channels: reference {}, port {}".format(*values)
    assert result.verdict == "fail"
    assert any(record.verdict == "fail" for record in result.layers)
    shown = text.details(result)
    assert shown.startswith(reason)
    assert text.roots([result])[1] == f"  1 of {reason}"
    write_json(tmp_path / "result.json", [result])
    assert read_json(tmp_path / "result.json")[0].configuration == result.configuration
    html.write_html(tmp_path / "report.html", [result])
    assert f"<li>{reason}</li>" in (tmp_path / "report.html").read_text()
    equal = replace(result, layers=(), configuration=tuple(result.differences))
    html.write_html(tmp_path / "report.html", [equal])
    assert f"No tensor diverged; {reason}, in <a" in (tmp_path / "report.html").read_text()
    damaged = (tmp_path / "result.json").read_text().replace('"differs": true', '"differs": "no"')
    (tmp_path / "result.json").write_text(damaged)
    with pytest.raises(ParityError, match="expected bool, found 'no'"):
        read_json(tmp_path / "result.json")


def test_a_port_that_says_nothing_has_no_configuration() -> None:
    silent = replace(SUITE, subject=replace(SUBJECT, port_arguments=lambda port: None))
    result = silent.run_case(CASE, "float64", mode="cumulative")
    assert result.configuration == ()
    assert "arguments" not in text.summary(result)


@pytest.mark.live
def test_check_compares_values_and_defaults_of_a_live_module() -> None:
    module, mix = make_reference(CASE), signals.make("noise", (1, 2, 31), 0)
    result = parity.check(module, make_port(CASE, "float32"), mix)
    assert result.verdict == "pass"
    names = [argument.name for argument in result.configuration]
    assert names[:2] == ["sources", "audio_channels"]
    assert len(names) == 25
    shown = "\n".join(table(result))
    assert "channels " in shown
    assert "FAIL" not in shown

    result = parity.check(module, make_port(_with(gelu=False), "float32"), mix)
    assert [a.reason for a in result.differences] == ["argument gelu: reference True, port False"]
    assert result.verdict == "fail"
    assert result.first_failure is not None
    lines = text.details(result).splitlines()
    assert lines[0] == "argument gelu: reference True, port False"
    assert lines[2].split() == ["FAIL", "gelu", "True", "False", "True", "True"]
    assert lines.index(next(line for line in lines if "comparisons" in line)) > 2


@pytest.mark.live
@pytest.mark.parametrize("name", ["demucs-dconv0", "hdemucs-default", "htdemucs-default"])
def test_all_defaults_of_the_port_are_the_references(name: str) -> None:
    case = BY_NAME[name]
    reference, port = of_reference(make_reference(case)), of_port(make_port(case, "float32"))
    assert reference is not None
    assert port is not None
    assert not [argument for argument in compared(reference, port) if argument.differs]
    assert len(reference.defaults) == len(reference.values) - 1
    assert reference.defaults == DEFAULTS[case.reference]


@pytest.mark.live
def test_what_a_bag_sets_counts() -> None:
    module = make_reference(CASE)
    module.segment = 4
    found = of_reference(module)
    assert found is not None
    assert found.values["segment"] == 4
    assert found.defaults["segment"] == 40
