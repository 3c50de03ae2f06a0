"""The HTML of the page without JavaScript: made of templates, with every value escaped."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from kchat.web.markup import markup

WEB = Path(__file__).parents[3] / "kchat" / "web"


def test_every_value_in_html_is_escaped() -> None:
    made = markup('<p title="$a">$b$c</p>', a="\"'<", b="<b>&", c=markup("<i>$d</i>", d="$a <"))
    assert made == '<p title="&quot;&#x27;&lt;">&lt;b&gt;&amp;<i>$a &lt;</i></p>'
    with pytest.raises(KeyError):
        markup("$missing")
    assert type(made + "<b>") is str  # what is put together otherwise is escaped again


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    found = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    return [each for each in found if isinstance(each.func, ast.Name) and each.func.id == name]


def test_html_is_made_of_templates_in_the_source_and_by_nothing_else() -> None:
    for file in sorted(WEB.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        templates = calls(tree, "markup")
        assert all(isinstance(each.args[0], ast.Constant) for each in templates), file.name
        for each in templates:
            template = str(ast.literal_eval(each.args[0]))
            unquoted = re.sub(r'"[^"]*"', '""', template)
            assert not re.search(r"=\$(?!current)", unquoted), template
        if file.name != "markup.py":
            assert not [each for each in calls(tree, "Markup") if each.args], file.name
            in_templates = {id(part) for each in templates for part in ast.walk(each.args[0])}
            tags = [
                each
                for each in ast.walk(tree)
                if isinstance(each, ast.Constant)
                and isinstance(each.value, str)
                and re.search(r"</?[a-z]+[ >]", each.value)
                and id(each) not in in_templates
            ]
            assert not tags, (file.name, tags)
