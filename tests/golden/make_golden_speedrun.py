"""Write speedrun.npz: what PyTorch makes of the speed run's network, in float64.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root after a change of the model's names or of how its weights are drawn:

    PYTHONPATH=.:tests/examples:examples:benchmarks \
        python tests/golden/make_golden_speedrun.py
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from speedrun_cifar10 import recipe
from test_model_golden import summary
from test_speedrun_golden import STEPS, WHITENING_STEPS, start
from torch_speedrun import SMOOTHING, Speedrun, optimizers

PATH = Path(__file__).with_name("speedrun.npz")


def main():
    params, state, images, labels, digest = start()
    net = Speedrun(params, state)
    muon, sgd = optimizers(net, len(labels[0]))
    highest = [group["lr"] for group in sgd.param_groups]
    arrays, losses = {"digest": np.array(digest)}, []
    for step, (x, y) in enumerate(zip(images, labels, strict=True)):
        share, whitening = 1 - step / STEPS, max(0, 1 - step / WHITENING_STEPS)
        net.whiten_bias.requires_grad_(whitening > 0)
        for group, lr in zip(sgd.param_groups, highest, strict=True):
            group["lr"] = lr * (whitening if group["name"] == "whiten_bias" else share)
        logits, target = net(torch.from_numpy(x)), torch.from_numpy(y)
        loss = F.cross_entropy(
            logits, target, reduction="sum", label_smoothing=SMOOTHING
        )
        net.zero_grad(set_to_none=True)
        loss.backward()
        if step == 0:
            arrays["logits"] = logits.detach().numpy()
            for name, param in net.named_parameters():
                if param.grad is not None:
                    arrays[f"grad/{name}"] = summary(param.grad.numpy())
        muon.step(recipe.CHOICES["lr"] * share, recipe.CHOICES["momentum"])
        sgd.step()
        losses.append(loss.item() / len(y))
    arrays["losses"] = np.array(losses)
    for name, tensor in (*net.named_parameters(), *net.named_buffers()):
        arrays[f"trained/{name}"] = summary(tensor.detach().numpy())
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes; {losses}")


if __name__ == "__main__":
    main()
