#!/usr/bin/env bash
# Train the bundled model on a machine with a GPU for some minutes, score it, and write all results to a folder in
# pieces below 16 MB.
#
#   bash scripts/on_gpu.sh OUT [MINUTES]     # from the repository's root; 7.5 minutes of training if none are given
#
# Before: `python scripts/pack_training_data.py .scratch/pack`; wheels that the machine lacks in .scratch/whl; ImageNet
# features in .scratch/lite0.safetensors (scripts/lite_weights.py). A checkpoint .scratch/checkpoint.safetensors goes on
# where it was; else the shipped weights are the start. After: `cat OUT/model.part* > model.safetensors`.
set -euo pipefail
out=$1 minutes=${2:-7.5}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3} work=${WORK:-.scratch/work} pack=${PACK:-.scratch/pack} lite=${LITE:-.scratch/lite0.safetensors}
mkdir -p "$out" "$work"
if ls .scratch/whl/*.whl >/dev/null 2>&1; then
    $python -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target /tmp/site .scratch/whl/*.whl
fi
export PYTHONPATH=$PWD/src:/tmp/site PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
[ -n "$(ls "$work"/windows-*.npz 2>/dev/null)" ] || $python scripts/gpu_training.py windows --pack "$pack" --work "$work" ${EXTRA:-} &
start=src/napari_sam/weights/cells.safetensors
[ ! -f .scratch/checkpoint.safetensors ] || start=.scratch/checkpoint.safetensors
status=0
$python scripts/gpu_training.py train --pack "$pack" --work "$work" --minutes "$minutes" --start "$start" \
    --lite "$lite" ${EXTRA:-} 2>&1 | tee "$out/train.log" || status=$?
wait
[ ! -f "$work/train/model.safetensors" ] || split -b 12M "$work/train/model.safetensors" "$out/model.part"
[ ! -f "$work/train/log.csv" ] || gzip -c "$work/train/log.csv" > "$out/log.csv.gz"
$python scripts/gpu_training.py summary --work "$work" | tee "$out/summary.txt"
exit $status
