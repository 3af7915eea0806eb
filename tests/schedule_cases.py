"""Runs of which PyTorch's learning rates are known, see `make_golden_schedules.py`."""

#: Name -> (steps per epoch, fields of `LearningRate`).
CASES = {
    "step": (3, {"epochs": 9, "lr_decay_epochs": 4}),
    "multistep": (3, {"epochs": 9, "lr_milestones": (2, 5, 6), "lr_gamma": 0.3}),
    "cosine": (5, {"epochs": 8, "lr_min": 0.003}),
    "cosine, to zero": (1, {"epochs": 7}),
    "cosine-restarts": (
        4,
        {"epochs": 15, "lr_restart_epochs": 2, "lr_restart_mult": 2, "lr_min": 0.01},
    ),
    "cosine-restarts, equal": (3, {"epochs": 7, "lr_restart_epochs": 2}),
    "one-cycle": (
        5,
        {"epochs": 6, "lr_cycle_peak": 0.4, "lr_cycle_start": 0.1, "lr_min": 0.002},
    ),
    "constant, warmup": (4, {"epochs": 5, "lr_warmup_epochs": 3}),
    "multistep, warmup": (
        4,
        {"epochs": 6, "lr_milestones": (1, 4), "lr_warmup_epochs": 2},
    ),
    "cosine, warmup": (
        4,
        {"epochs": 8, "lr_warmup_epochs": 2, "lr_warmup_decay": 0.2, "lr_min": 0.01},
    ),
    "cosine-restarts, warmup": (
        3,
        {
            "epochs": 12,
            "lr_warmup_epochs": 1,
            "lr_restart_epochs": 2,
            "lr_restart_mult": 3,
        },
    ),
}


def fields_of(name):
    """Return all that a `LearningRate` is to be made with."""
    scheduler = name.partition(",")[0]
    return {"lr": 0.3, "lr_scheduler": scheduler, **CASES[name][1]}
