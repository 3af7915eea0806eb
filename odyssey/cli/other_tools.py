"""Names of options in other tools, and what these options are called here.

Names are squashed, see `odyssey.cli.meant.squashed`: ``--learning-rate`` and
``--learning_rate`` are the same.  Names that differ from ours only in dashes, or that
are the beginning or a part of ours, are recognised without a line here.
"""

import re
from collections.abc import Iterable

from odyssey.cli.meant import Aliases, did_you_mean, squashed

_THREADS = "there is no GPU support; --threads sets the number of CPU threads"
_PRECISION = "there is no float16; --precision bf16 keeps activations in bfloat16"
_WORKERS = "images are loaded without workers; --threads sets the number of threads"

#: Options that have another name here.
CALLED: Aliases = {
    theirs: tuple(ours.split())
    for names, ours in {
        "learningrate baselr initlr initiallr maxlr lrmax": "--lr",
        "wd l2 decay": "--weight-decay",
        "bs batch b trainbatchsize batchsizetrain": "--batch-size",
        "ep numepochs nepochs numtrainepochs maxepochs": "--epochs",
        "scheduler sched lrsched lrschedule schedule lrpolicy": "--lr-scheduler",
        "arch a architecture network net modelname depth layers": "--model",
        "data": "--data-dir --dataset",
        "datapath dataroot root datasetdir datafolder": "--data-dir",
        "datasetname": "--dataset",
        "imgsize imgsz imagesz inputsize imsize resize cropsize traincropsize": (
            "--image-size"
        ),
        "outputdir output outdir savedir o ckptdir checkpointdir workdir modeldir": (
            "--weights-dir"
        ),
        "logdir tensorboarddir wandb": "--tensorboard",
        "checkpoint ckpt resumefrom load loadcheckpoint": "--resume --weights-dir",
        "pth modelpath": "--weights-dir --init-from",
        "pretrained finetune initcheckpoint initialweights": "--init-from",
        "m mom": "--momentum",
        "optim opt sgd muon": "--optimizer",
        "nssteps": "--muon-steps",
        "lrwarmup warmupsteps": "--lr-warmup-epochs",
        "stepsize lrstepsize": "--lr-decay-epochs",
        "gamma": "--lr-gamma --lr-decay-factor",
        "lrdecay": "--lr-decay-epochs --lr-decay-factor",
        "minlr etamin": "--lr-min",
        "printfreq loginterval logevery p": "--log-interval",
        "manualseed randomseed": "--seed",
        "cpus cpu numthreads nthreads t": "--threads",
        "autoaugment aa ra": "--randaugment",
        "hflip horizontalflip": "--flip",
        "modelema ema": "--ema-decay",
        "amp bf16 bfloat16 mixedprecision autocast dtype": "--precision",
        "clip clipgrad gradclip maxnorm maxgradnorm gradientclipval": (
            "--clip-grad-norm"
        ),
        "stochasticdepth": "--drop-path",
        "iterations steps iters maxiters": "--max-steps",
        "validationsplit valfraction valsize": "--val-split",
        "image img input file files source": "--images",
        "quiet q": "--no-progress",
        "verbose v": "--debug",
        "cleardir restart fresh": "--overwrite",
    }.items()
    for theirs in names.split()
}

#: Options that do not exist here, and what to say about them.
MISSING = {
    theirs: answer
    for names, answer in {
        "adam adamw beta1 betas": "there is no Adam; --optimizer chooses SGD or Muon",
        "workers numworkers j nworkers loaderworkers": _WORKERS,
        "gpu gpus gpuid ngpu numgpus device cuda nocuda usecuda mps": _THREADS,
        "fp16 half float16": _PRECISION,
        "evaluate e eval testonly": "inference.py evaluates a trained model",
        "distributed worldsize rank localrank nprocpernode": (
            "training runs in one process, on one machine"
        ),
        "dampening": "momentum has no dampening",
        "patience earlystopping earlystop": (
            "there is no early stopping, a run has all its --epochs"
        ),
        "compile": "kernels are compiled when first used",
    }.items()
    for theirs in names.split()
}


def answer(name: str, known: Iterable[str]) -> str | None:
    """Return the answer to an unknown option, None if there is none.

    Parameters
    ----------
    name : as it was typed, with dashes or as a key of a recipe
    known : the options of the command, or the keys of a recipe
    """
    known = list(known)
    about = MISSING.get(squashed(name))
    ours = set(map(squashed, known))
    if about and {squashed(o) for o in re.findall(r"--[a-z-]+", about)} <= ours:
        return f"{about}."
    return did_you_mean(name, known, CALLED)
