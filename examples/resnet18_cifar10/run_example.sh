#!/usr/bin/env bash
# All steps in a few minutes on two cores: data, training, inference.
#
#   examples/resnet18_cifar10/run_example.sh [WEIGHTS_DIR]
#
# CIFAR-10 is used if it is there ($ODYSSEY_CIFAR10 or datasets/cifar10) or can be
# downloaded, else the synthetic set, which needs no network.  The model is narrower
# (--width 16) and the run shorter than the full recipe, which is
#
#   python examples/resnet18_cifar10/train.py --epochs 200
set -euo pipefail
cd "$(dirname "$0")/../.."

here=examples/resnet18_cifar10
python=${PYTHON:-python3}
weights=${1:-example_weights}
data=${ODYSSEY_CIFAR10:-datasets/cifar10}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

# A signal ends the script, with the status of the program that it stopped.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

has_data() {
    "$python" -c 'import sys; from odyssey.cli import startup; startup.prepare()
from odyssey.data.cifar10 import holds_cifar10
sys.exit(not holds_cifar10(sys.argv[1]))' "$data"
}

echo "== data"
if has_data; then
    echo "CIFAR-10 is in $data"
else
    "$python" "$here/download_cifar10.py" --data-dir "$data" --timeout 10 --retries 1 || {
        status=$?
        [ "$status" -lt 128 ] || exit "$status"  # Ctrl-C, or another signal
        echo "CIFAR-10 could not be downloaded (no network?)."
    }
fi
if has_data; then
    dataset=cifar10
    recipe=(--limit-train 20000 --epochs 5)
else
    echo "Using the synthetic set, which needs no download."
    dataset=synthetic
    recipe=(--epochs 5)
fi

echo "== training"
"$python" "$here/train.py" --dataset "$dataset" --data-dir "$data" \
    --weights-dir "$weights" --overwrite --width 16 --batch-size 64 --lr 0.05 \
    --nesterov --lr-decay-epochs 4 --log-interval 50 "${recipe[@]}"

echo "== checking the weights"
"$python" -m odyssey verify "$weights"

echo "== inference"
"$python" "$here/inference.py" --dataset "$dataset" --data-dir "$data" \
    --weights-dir "$weights"

# Without --weights-dir inference.py loads the weights of the full recipe.
echo "== to classify with these weights"
printf '%q ' "$python" "$here/inference.py" --dataset "$dataset" --data-dir "$data" \
    --weights-dir "$weights"
printf '\n'
printf '%q ' "$python" "$here/inference.py" --weights-dir "$weights" --images photo.jpg
printf '\n'
