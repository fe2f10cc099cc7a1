"""A path or a name that looks like markup, or like an emoji, is printed as it is."""

import ast
from pathlib import Path

import pytest

import fracjax
from fracjax.runtime.multihost import main_console

FILES = sorted(Path(fracjax.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("name", ["[bold]a[/bold]", "a[/]b", "[red]", "a:bone:b", "[link=x]y"])
def test_the_screen_of_a_command_shows_names_as_they_are(capsys, name):
    main_console().print(f"/data/{name}/1.png")
    assert capsys.readouterr().out == f"/data/{name}/1.png\n"


def made_up(call: ast.Call) -> bool:
    """Whether what is printed has a part that is not in the program."""
    shown = call.args[0] if call.args else ast.Constant("")
    return not isinstance(shown, ast.Constant) and not any(
        keyword.arg == "markup" for keyword in call.keywords
    )


def test_no_line_is_printed_as_markup_on_the_console_of_a_caller():
    """Tables are made of Text, not of strings."""
    found = []
    for path in FILES:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("console.print"):
                text = ast.unparse(call.args[0]) if call.args else ""
                if made_up(call) and "rich()" not in text and text not in ("table", "shown"):
                    found.append(f"{path.name}: {ast.unparse(call)}")
            elif isinstance(call, ast.Call) and ast.unparse(call.func) == "partial":
                text = ast.unparse(call)
                if "console.print" in text and "markup=False" not in text:
                    found.append(f"{path.name}: {text}")
    assert found == []
