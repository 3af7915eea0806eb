"""The advice that programs add to the library's error messages: which option helps.

The library does not know any option.  Where one would help, its message contains the
text that this module gives for a key (`odyssey.errors.remedy`).  Importing anything of
`odyssey.cli` imports this module.
"""

from odyssey.errors import REMEDIES

REMEDIES.update(
    {
        "a run is there": ": --resume continues it, --overwrite deletes it, "
        "--weights-dir names another folder",
        "events are there": ": --resume continues them, --overwrite hides them, "
        "--tensorboard names another folder",
        "field": "--{option}",
        "not finite": " (--allow-nonfinite takes them anyway)",
        "nothing left": ": raise --epochs or --max-steps to continue",
        "stopped": ", --resume continues from it",
        "recipe of the run": "; --config {path} has that of the run",
        "no weights": "; train.py makes one",
        "no statistics": ": --recalibrate estimates them from training images",
        "newer checkpoint": "; --weights-dir {path} takes newer ones",
        "repeat": "train.py --config with this file repeats the run.",
        "unlabelled images": "; inference.py --images classifies them",
        "archive of cifar10": "python -m odyssey download --from-file {file} unpacks "
        "it",
        "archive of cifar100": "python -m odyssey download --dataset cifar100 "
        "--from-file {file} unpacks it",
        "own images": "; --data-dir names the folder that has train/CLASS/*.png or "
        "CLASS/*.png",
        "smaller images": "; a smaller --image-size needs less",
        "holds labelled images": "; --dataset folder reads it",
        "holds CIFAR-10": "; --dataset cifar10 reads it",
        "holds CIFAR-100": "; --dataset cifar100 reads it",
    }
)
