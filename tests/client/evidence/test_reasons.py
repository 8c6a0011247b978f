"""Every reason that the code can give has a code of its own: new wording cannot become `other`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.evidence.reasons import reason_code
from shared.evidence.description import REASONS
from shared.evidence.table_one import REASON_WORDS

CLIENT = Path(__file__).resolve().parents[3] / "client"
# Where a reason stands among the arguments, by what is called.
PLACES = {"ImagingError": 0, "_refused": 0, "SetAside": 1}
# Reasons that were found elsewhere and are passed on.
PASSED_ON = {"reason", "error.reason"}
# A line of phases.csv that names nobody here: neither a patient nor a file.
WITHOUT_A_CODE = {"named there, but not among this site's patients"}


def wording(node: ast.expr) -> str | None:
    """Return a text as it is written, `1` for what is filled in; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(wording(part) or "1" for part in node.values)
    return None


def returned(name: str, module: ast.Module) -> Iterator[str]:
    """Yield the texts that a function of a module can return."""
    constants = {
        target.id: wording(node.value) or ""
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef) and function.name == name:
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    value = node.value
                    text = wording(value)
                    yield constants[value.id] if isinstance(value, ast.Name) else text or "?"


def reasons() -> Iterator[tuple[str, str]]:
    """Yield where each reason is given, and its text."""
    for file in sorted(CLIENT.rglob("*.py")):
        module = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(module):
            called = getattr(node, "func", None)
            name = getattr(called, "id", getattr(called, "attr", ""))
            if not isinstance(node, ast.Call) or name not in PLACES:
                continue
            given = node.args[PLACES[name]]
            where = f"{file.relative_to(CLIENT).as_posix()}:{node.lineno}"
            if isinstance(given, ast.Call):
                inner = getattr(given.func, "id", getattr(given.func, "attr", ""))
                yield from ((where, text) for text in returned(inner, module))
            elif ast.unparse(given) not in PASSED_ON:
                yield where, wording(given) or ast.unparse(given)


GIVEN = sorted(set(reasons()))


def test_reasons_are_found() -> None:
    """The search itself works: it finds what a person finds."""
    texts = {text for _, text in GIVEN}
    assert len(texts) > 60
    assert {"no folder of this name", "is damaged or cut short"} <= texts
    assert any("missing where they are needed" in text for text in texts)
    assert any("its encoding (1) is not supported" in text for text in texts)


@pytest.mark.parametrize(("where", "text"), GIVEN)
def test_a_reason_has_a_code(where: str, text: str) -> None:
    code = reason_code(text)
    assert code in REASONS
    assert (code == "other") == (text in WITHOUT_A_CODE), f"{where}: {text}"


def test_every_refused_row_of_the_table_has_a_code() -> None:
    module = ast.parse((CLIENT / "clinical.py").read_text(encoding="utf-8"))
    texts = [
        wording(node.value) or "?"
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("refused[")
    ]
    assert len(texts) == 3
    assert {reason_code(text) for text in texts} == {"no-clinical-row"}


def test_every_code_has_words() -> None:
    assert tuple(REASON_WORDS) == REASONS
