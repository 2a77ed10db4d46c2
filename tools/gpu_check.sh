#!/usr/bin/env bash
# What only an NVIDIA GPU shows: the tests for it, and the cost of a step at 800 x 1344: tools/gpu_check.sh [FOLDER]
# FOLDER (work_dirs/gpu_check) gets tests.txt and json rows; results/benchmarks/ is where docs/benchmarks.md reads them.
set -euo pipefail
[ $# -le 1 ] && [[ ${1:-} != -* ]] || { sed -n '2,3p' "$0" >&2; exit 2; }
OUT=${1:-work_dirs/gpu_check}
TOOLS=$(dirname "$0")
PYTHON=${PYTHON:-python}
"$PYTHON" -c "import sys, torch; sys.exit(not torch.cuda.is_available())" 2>/dev/null ||
    { echo "gpu_check.sh: torch finds no GPU; on a CPU, make test runs all that can be run" >&2; exit 2; }
mkdir -p "$OUT"
"$PYTHON" -m pytest -q -m gpu "$TOOLS/../tests" 2>&1 | tee "$OUT/tests.txt"
CONFIGS=()
for METHOD in hint fgfi adl chen2017; do
    for DETECTOR in retinanet faster-rcnn; do
        CONFIG="$TOOLS/../configs/$METHOD/${METHOD}_${DETECTOR}_r101_to_r50_fpn_1x_coco.py"
        if [ -f "$CONFIG" ]; then CONFIGS+=("$CONFIG"); fi
    done
done
CONFIGS+=("$TOOLS"/../configs/labelenc/labelenc-step2_{retinanet,faster-rcnn}_r50_fpn_90k_coco.py)
for FLAGS in '' '--amp'; do
    "$PYTHON" "$TOOLS/benchmark.py" "${CONFIGS[@]}" --shape 800 1344 --iters 20 --json "$OUT/benchmarks.jsonl" $FLAGS
done
"$PYTHON" "$TOOLS/benchmark_adl.py" --iters 20 | tee "$OUT/benchmark_adl.txt"
"$PYTHON" "$TOOLS/benchmark_masks.py" | tee "$OUT/benchmark_masks.txt"
