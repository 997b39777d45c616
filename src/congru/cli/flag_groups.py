"""The flags of a training in groups, as its help shows them: the eight that most people need, the task's own, then the rest."""

from __future__ import annotations

from cyclopts import Group, Parameter

from congru.train.settings import (
    BudgetSettings,
    FolderSettings,
    MachineSettings,
    ModelSettings,
    OptimizerSettings,
    WeightSettings,
)

COMMON = ("minutes", "epochs", "cell", "hidden_size", "learning_rate", "batch_size", "out", "resume")
# Title of a group -> the settings it holds; what belongs to none is the task's own. In the order of the help.
_COMMON, _TASK = Group("The eight most used", sort_key=1), Group("Of this task", sort_key=2)
_OTHERS = {
    Group("Network", sort_key=3): ModelSettings.__annotations__,
    Group("Budget and evaluations", sort_key=4): BudgetSettings.__annotations__,
    Group("Optimizer", sort_key=5): OptimizerSettings.__annotations__,
    Group("Weights: start, freezing, averages", sort_key=6): WeightSettings.__annotations__,
    Group("Machine and random numbers", sort_key=7): MachineSettings.__annotations__,
    Group("Folder and output", sort_key=8): FolderSettings.__annotations__,
}


def group_of(name: str) -> Group:
    """The group that a setting is shown in.

    >>> group_of("minutes").name, group_of("clip").name, group_of("chunk").name
    ('The eight most used', 'Optimizer', 'Of this task')
    """
    if name in COMMON:
        return _COMMON
    return next((group for group, names in _OTHERS.items() if name in names), _TASK)


def group_flags(settings: type[ModelSettings]) -> None:
    """Give every flag of a settings class its group; again changes nothing."""
    for name, field in settings.model_fields.items():
        if not any(isinstance(entry, Parameter) for entry in field.metadata):
            field.metadata.append(Parameter(group=group_of(name)))
