"""Verbs that train."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import (
    Accelerator,
    Account,
    BatchSize,
    Branch,
    Compiled,
    ConfigFile,
    Cpus,
    Detach,
    Devices,
    Epochs,
    Gpus,
    Memory,
    Nodes,
    Pairs,
    Partition,
    Precision,
    Print,
    ProjectFolder,
    Resume,
    RunName,
    Seed,
    Setup,
    Step,
    Strengths,
    Submit,
    Tasks,
    TimeLimit,
    cluster_given,
    options_given,
    pairs,
    source_given,
    strengths,
)
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def pretrain(
    project: ProjectFolder,
    recipe: Annotated[str | None, typer.Option(help="poster or pixel")] = None,
    inlet: Annotated[str | None, typer.Option(help="pca: the project's frozen projection; learned: filters of each domain's own, started as it")] = None,
    init: Annotated[str | None, typer.Option(help="a run, or a run's folder elsewhere, whose trunk is carried over")] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Annotated[float | None, typer.Option(help="at its peak")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="pull of all weights towards zero")] = None,
    temperature: Annotated[float | None, typer.Option(help="of NT-Xent")] = None,
    projection: Annotated[int | None, typer.Option(help="length of the output of the projection head (128)")] = None,
    neighbour: Annotated[int | None, typer.Option(help="the second view's window is moved by up to this many pixels")] = None,
    augment: Strengths = None,
    max_steps: Annotated[int | None, typer.Option(help="stop after this many steps")] = None,
    seed: Seed = None,
    accelerator: Accelerator = None,
    devices: Devices = None,
    precision: Precision = None,
    compiled: Compiled = None,
    run_name: RunName = None,
    resume: Resume = False,
    branch: Branch = None,
    step: Step = None,
    detach: Detach = False,
    config: ConfigFile = None,
    submit: Submit = None,
    partition: Partition = None,
    account: Account = None,
    time: TimeLimit = None,
    gpus: Gpus = None,
    nodes: Nodes = None,
    tasks: Tasks = None,
    cpus: Cpus = None,
    memory: Memory = None,
    setup: Setup = None,
    show: Print = False,
) -> Steps[Report]:
    """Train SimCLR on the patches, in a process of its own."""
    from napari_hsi_ssl.steps import branching, train

    given = options_given(
        inlet=inlet, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, temperature=temperature, max_steps=max_steps,
        compiled=compiled,
        seed=seed, accelerator=accelerator, devices=devices, precision=precision, weight_decay=weight_decay, projection=projection, neighbour=neighbour,
        augment=strengths(augment),
    )  # fmt: skip
    cluster = cluster_given(
        submit, show, partition=partition, account=account, time=time, gpus=gpus, nodes=nodes, tasks=tasks, cpus=cpus, memory=memory, setup=setup
    )
    opened = Project.open(project)
    if source_given(branch, step, resume, config):
        if init:
            raise typer.BadParameter("a branch keeps the trunk of its run: leave out --init")
        changes = options_given(recipe=recipe, **given)
        return branching.branch(opened, str(branch), "pretrain", step=step, changes=changes, name=run_name, detach=detach, cluster=cluster)
    if config is not None:
        return train.start_again(opened, config, kind="pretrain", changes=options_given(recipe=recipe, **given), run=run_name, detach=detach, cluster=cluster)
    stored = train.stored_settings(opened, "pretrain", run_name) if resume else None
    made = (
        stored.changed(options_given(recipe=recipe, **given), "pretrain")
        if isinstance(stored, settings.PretrainConfig)
        else settings.PretrainConfig.from_recipe(recipe or "poster", **given)
    )
    return train.pretrain(opened, made, init=init, run=run_name, resume=resume, detach=detach, cluster=cluster)


@verb
def distil(
    project: ProjectFolder,
    train: Pairs = None,
    validation: Pairs = None,
    init: Annotated[str | None, typer.Option(help="a pretrained run, or its folder elsewhere, whose trunk is carried over")] = None,
    inlet: Annotated[str | None, typer.Option(help="pca: the project's frozen projection; learned: filters of each domain's own, started as it")] = None,
    blocks: Annotated[int | None, typer.Option(help="residual blocks a stage (1)")] = None,
    direction: Annotated[str | None, typer.Option(help="who teaches: both, deep, early, past or none")] = None,
    window: Annotated[int | None, typer.Option(help="side in pixels, best odd")] = None,
    source: Annotated[str | None, typer.Option("--input", help="pcs or bands")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="pull of all weights towards zero")] = None,
    temperature: Annotated[float | None, typer.Option(help="softens the targets between exits (3)")] = None,
    distil_weight: Annotated[float | None, typer.Option(help="weight of the soft-target terms (0.5)")] = None,
    feature_weight: Annotated[float | None, typer.Option(help="weight of the feature consistency between exits (0.05)")] = None,
    ramp_up: Annotated[float | None, typer.Option(metavar="SHARE", help="of the training, in which both weights rise to their full value (0)")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="share of a label that the other classes get (0.05)")] = None,
    balance: Annotated[str | None, typer.Option(help="classes of few labels: off, weights or sampling")] = None,
    augment: Strengths = None,
    whiten: Annotated[float | None, typer.Option(help="0: components keep their proportions; 1: all have the same spread (0)")] = None,
    freeze: Annotated[bool | None, typer.Option("--freeze", help="with --init: train only the exits, and learned inlets")] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Annotated[float | None, typer.Option(help="at its peak")] = None,
    warm_up: Annotated[float | None, typer.Option(metavar="SHARE", help="of the steps, in which the learning rate rises (0.05)")] = None,
    schedule: Annotated[str | None, typer.Option(help="how the learning rate falls: cosine, linear or constant")] = None,
    max_steps: Annotated[int | None, typer.Option(help="stop after this many steps")] = None,
    seed: Seed = None,
    accelerator: Accelerator = None,
    devices: Devices = None,
    precision: Precision = None,
    compiled: Compiled = None,
    run_name: RunName = None,
    resume: Resume = False,
    branch: Branch = None,
    step: Step = None,
    detach: Detach = False,
    config: ConfigFile = None,
    submit: Submit = None,
    partition: Partition = None,
    account: Account = None,
    time: TimeLimit = None,
    gpus: Gpus = None,
    nodes: Nodes = None,
    tasks: Tasks = None,
    cpus: Cpus = None,
    memory: Memory = None,
    setup: Setup = None,
    show: Print = False,
) -> Steps[Report]:
    """Train the self-distillation network on labels, in a process of its own."""
    from napari_hsi_ssl.steps import branching
    from napari_hsi_ssl.steps import train as verbs

    given = options_given(
        direction=direction, window=window, input=source, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        compiled=compiled,
        max_steps=max_steps, seed=seed, accelerator=accelerator, devices=devices, precision=precision, weight_decay=weight_decay, temperature=temperature,
        distil_weight=distil_weight, feature_weight=feature_weight, label_smoothing=label_smoothing, freeze=freeze, inlet=inlet, blocks=blocks,
        ramp_up=ramp_up, balance=balance, augment=strengths(augment), whiten=whiten, warm_up=warm_up, schedule=schedule,
    )  # fmt: skip
    train_files, held_out = pairs(train, "--train"), pairs(validation, "--validation")
    cluster = cluster_given(
        submit, show, partition=partition, account=account, time=time, gpus=gpus, nodes=nodes, tasks=tasks, cpus=cpus, memory=memory, setup=setup
    )
    opened = Project.open(project)
    if source_given(branch, step, resume, config):
        if train_files or held_out or init:
            raise typer.BadParameter("a branch keeps labels and trunk of its run: leave out --train, --validation and --init")
        return branching.branch(opened, str(branch), "distil", step=step, changes=given, name=run_name, detach=detach, cluster=cluster)
    if config is not None:
        return verbs.start_again(opened, config, kind="distil", changes=given, run=run_name, detach=detach, cluster=cluster)
    stored = verbs.stored_settings(opened, "distil", run_name) if resume else None
    made = (stored if isinstance(stored, settings.DistilConfig) else settings.DistilConfig()).changed(given, "distil")
    return verbs.distil(opened, made, train=train_files, validation=held_out, init=init, run=run_name, resume=resume, detach=detach, cluster=cluster)
