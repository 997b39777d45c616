"""Settings: their layers, where each value came from, and the one line for each kind of mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, Field, ValidationError

from congru.errors import SettingsError
from congru.train.resolve import resolve, shown, to_yaml
from congru.train.settings import TrainSettings, describe_validation_error, keys_of


class TextLike(TrainSettings):
    """A task's settings."""

    default_budget = ("minutes", 2.0)
    cell: Annotated[Literal["gru", "lstm"], Field(description="Kind of cell.")] = "gru"
    hidden_size: Annotated[int, Field(ge=1)] = 128


def message(**keywords: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        resolve(TextLike, keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_group_of_settings_has_more_than_twelve_fields() -> None:
    groups = [base for base in TrainSettings.__mro__ if issubclass(base, BaseModel)]
    for group in groups:
        own = [name for name in group.__annotations__ if name in TrainSettings.model_fields]
        assert len(own) <= 12, group
    assert sum(len(g.__annotations__) for g in groups) >= len(TrainSettings.model_fields)
    assert all(field.description for field in TrainSettings.model_fields.values())


def test_later_layers_win_and_every_origin_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "romeo.yaml"
    file.write_text("learning_rate: 0.01\nhidden_size: 64\njson: true\n")
    settings, origin = resolve(TextLike, {"config": file, "hidden_size": 32, "seed": 4}, source="flag")
    assert (settings.learning_rate, settings.hidden_size, settings.seed) == (0.01, 32, 4)
    assert settings.json_lines is True
    assert origin["learning_rate"] == origin["json_lines"] == str(file)
    assert origin["hidden_size"] == origin["seed"] == "flag"
    assert origin["cell"] == origin["minutes"] == "default"
    assert set(origin) == set(TextLike.model_fields)


def test_only_the_fields_set_of_a_settings_object_count_as_flags(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("seed: 9\nhidden_size: 5\n")
    settings, origin = resolve(TextLike, TextLike(config=file, seed=1), source="flag")
    assert (settings.seed, settings.hidden_size) == (1, 5)
    assert (origin["seed"], origin["hidden_size"]) == ("flag", str(file))


def test_a_budget_replaces_another_kind_of_budget_from_below(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("epochs: 3\n")
    assert resolve(TextLike, {})[0].budget == ("minutes", 2.0)
    assert resolve(TextLike, {"config": file})[0].budget == ("epochs", 3)
    settings, origin = resolve(TextLike, {"config": file, "steps": 50, "minutes": None})
    assert settings.budget == ("steps", 50)
    assert settings.epochs is None
    assert origin["epochs"] == "default"


def test_config_yaml_shows_every_value_with_its_origin_and_can_be_given_back(tmp_path: Path) -> None:
    settings, origin = resolve(TextLike, {"epochs": 3, "out": tmp_path / "run", "cell": "lstm"})
    text = to_yaml(settings, origin)
    assert "epochs: 3  # keyword\n" in text
    assert "hidden_size: 128  # default\n" in text
    assert set(yaml.safe_load(text)) == set(TextLike.model_fields)
    file = tmp_path / "config.yaml"
    file.write_text(text)
    again, _ = resolve(TextLike, {"config": file})
    assert again.model_dump(exclude={"config"}) == settings.model_dump(exclude={"config"})


def test_what_was_chosen_is_shown_before_the_defaults() -> None:
    rows = shown(*resolve(TextLike, {"seed": 4}))
    assert rows[0] == ("seed", 4, "keyword")
    assert {row[0] for row in rows} == set(TextLike.model_fields)


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"lerning_rate": 1}, "lerning_rate is 1, expected a known setting: did you mean learning_rate?"),
        ({"jsn": True}, "jsn is True, expected a known setting: did you mean json?"),
        ({"zzz": 1}, "zzz is 1, expected a known setting: see --help for all of them"),
        ({"epochs": "many"}, "epochs is 'many', expected a whole number: change it or leave it out"),
        ({"epochs": 1.5}, "epochs is 1.5, expected a whole number: change it or leave it out"),
        ({"clip": 0}, "clip is 0, expected more than 0: change it or leave it out for 1.0"),
        ({"seed": -1}, "seed is -1, expected at least 0: change it or leave it out for 0"),
        ({"warmup": 1}, "warmup is 1, expected less than 1: change it or leave it out for 0.02"),
        ({"quiet": "so-so"}, "quiet is 'so-so', expected true or false: change it or leave it out for False"),
        ({"out": 3}, "out is 3, expected a path: change it or leave it out"),
        ({"minutes": float("nan")}, "minutes is nan, expected a finite number: change it or leave it out"),
        ({"cell": "lsmt"}, "cell is 'lsmt', expected 'gru' or 'lstm': did you mean lstm?"),
        ({"cell": "cnn"}, "cell is 'cnn', expected 'gru' or 'lstm': change it or leave it out for 'gru'"),
        (
            {"epochs": 3, "minutes": 5},
            "epochs is 3 and minutes is 5.0, expected one budget: "
            "give only one of --epochs, --minutes and --steps",
        ),
        (
            {"resume": True},
            "resume is given without out, expected the run folder to continue: add --out FOLDER",
        ),
    ],
)
def test_a_mistake_is_one_line_with_the_fix(keywords: dict[str, object], expected: str) -> None:
    assert message(**keywords) == expected


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("hiden_size: 3\n")
    assert message(config=file).startswith(f"{file}: hiden_size is 3, expected a known setting: did you mean")
    file.write_text("hidden_size: 0\n")
    assert message(config=file).startswith(f"{file}: hidden_size is 0, expected at least 1")
    file.write_text("a: [1\n")
    assert message(config=file) == (
        f"{file}: not YAML (line 2: expected ',' or ']', but got '<stream end>'), expected lines of 'setting: value':"
        " correct the file"
    )
    file.write_text("- a\n- b\n")
    assert message(config=file).startswith(f"{file}: holds a list, expected lines of 'setting: value'")
    file.write_text("")
    assert resolve(TextLike, {"config": file})[0].seed == 0
    missing = tmp_path / "none.yaml"
    assert message(config=missing) == (
        f"config is '{missing}' (no such file or directory), expected a readable YAML file: check the path"
    )


def test_a_pydantic_error_from_the_command_line_is_described_without_the_class() -> None:
    with pytest.raises(ValidationError) as caught:
        TextLike(hidden_size="big")  # type: ignore[arg-type]
    assert describe_validation_error(caught.value) == (
        "hidden_size is 'big', expected a whole number: change it or leave it out for 128"
    )

    class Elsewhere(BaseModel):
        width: int

    with pytest.raises(ValidationError) as other:
        Elsewhere(width="big")  # type: ignore[arg-type]
    assert describe_validation_error(other.value) == (
        "width is 'big', expected a whole number: give --width such a value"
    )


def test_the_alias_and_the_field_name_are_both_keys() -> None:
    assert keys_of(TextLike)["json"] == keys_of(TextLike)["json_lines"] == "json_lines"


def stored_run(tmp_path: Path, **keywords: object) -> Path:
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.yaml").write_text(to_yaml(*resolve(TextLike, {"out": out, **keywords})))
    return out


def test_resume_takes_the_settings_of_the_run(tmp_path: Path) -> None:
    out = stored_run(tmp_path, hidden_size=7, steps=30, quiet=True)
    settings, origin = resolve(TextLike, {"out": out, "resume": True, "seed": 0}, source="flag")
    assert (settings.hidden_size, settings.budget, settings.resume) == (7, ("steps", 30), True)
    assert settings.quiet is False
    assert (origin["hidden_size"], origin["out"]) == ("keyword", "flag")


def test_resume_may_extend_the_budget_but_not_become_another_run(tmp_path: Path) -> None:
    out = stored_run(tmp_path, hidden_size=7, steps=30)
    settings, origin = resolve(TextLike, {"out": out, "resume": True, "steps": 60})
    assert (settings.budget, origin["steps"]) == (("steps", 60), "keyword")
    assert message(out=out, resume=True, hidden_size=8) == (
        f"hidden_size is 8, expected 7 as in the run in {out}: "
        "leave it out, or start another run with another --out"
    )
    assert message(out=tmp_path / "none", resume=True) == (
        f"out is '{tmp_path / 'none'}', expected a run folder with config.yaml: leave out --resume"
    )
