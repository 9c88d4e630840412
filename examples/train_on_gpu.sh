#!/usr/bin/env bash
# Train weights on a machine with one GPU: a corpus in, a checkpoint and a log out.
#
#   examples/train_on_gpu.sh CORPUS OUT            trains for eight minutes, goes on if run again
#   examples/train_on_gpu.sh --smoke CORPUS OUT    one minute: is the machine ready?
#
# The machine needs Python, torch 2.11 or newer and a copy of this repository; no network. Made
# before, where there is one:
#
#   lagllama thin --corpus FULL --out CORPUS --megabytes 50
#   pip download -d WHEELS -c constraints.txt .
#   rm -f WHEELS/torch-* WHEELS/nvidia_* WHEELS/triton-*
#
# OUT receives checkpoint/ (the weights, ready to use), log.txt, pretrain.json, and last.ckpt, from
# which the same command goes on. From the environment:
#
#   WHEELS   folder of wheels to install into OUT/../site first (default: none)
#   MINUTES  of training, of all starts together (8)
#   CONFIG   recipe or YAML file (gpu)
#   DEVICE   cuda or cpu (cuda)
#   WORKERS  processes that draw windows (processors less two, as far as /dev/shm allows)
#   VALIDATION  folder of held-out data sets, scored at the end (default: none)
#   PYTHON   interpreter (python3)
set -euo pipefail

smoke=
if [[ ${1-} == --smoke ]]; then smoke=yes; shift; fi
if (($# != 2)); then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
corpus=$1 out=$2
python=${PYTHON:-python3} config=${CONFIG:-gpu} device=${DEVICE:-cuda} minutes=${MINUTES:-8}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$out"
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export TORCHINDUCTOR_FX_GRAPH_CACHE=1 # a resumed run need not compile again
exec > >(tee -a "$out/log.txt") 2>&1
tee=$! child=
# Stopped, it stops what it has started; the log is complete before it ends.
trap '[[ -z $child ]] || kill -TERM "$child"; exit 143' TERM
trap '[[ -z $child ]] || kill -TERM "$child"; exit 130' INT
trap 'exec >&- 2>&-; wait "$tee"' EXIT
run() {
  "$@" &
  child=$!
  wait "$child"
  child=
}

if [[ -n ${WHEELS-} ]]; then
  site=$(cd "$out/.." && pwd)/site
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --upgrade \
    --target "$site" "$WHEELS"/*.whl
  export PYTHONPATH=$PYTHONPATH:$site
fi

"$python" - "$device" <<'CHECK'
import sys

import torch

version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
if version < (2, 11):
    sys.exit(f"torch: got {torch.__version__}, expected 2.11 or newer")
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    sys.exit("no GPU that torch can use; DEVICE=cpu rehearses without one")
name = torch.cuda.get_device_name() if sys.argv[1] == "cuda" else "cpu"
print(f"torch {torch.__version__} on {name}")
CHECK

if [[ -z ${WORKERS-} ]]; then
  # Each has two batches ahead in shared memory, the longest of which take 105 MB.
  shared=$(df --output=avail -m /dev/shm | tail -n 1)
  WORKERS=$(($(nproc) - 2)) fits=$((shared / 250))
  if ((WORKERS > fits)); then
    echo "/dev/shm has $shared MB: room for $fits of $WORKERS loader workers"
    WORKERS=$fits
  fi
  if ((WORKERS < 1)); then WORKERS=0; fi
fi

if [[ -n $smoke ]]; then
  run "$python" "$root/examples/training_smoke.py" --corpus "$corpus" --out "$out" \
    --config "$config" --device "$device" --loader-workers "$WORKERS"
else
  run "$python" -c "from lagllama_adapters.cli import app; app()" pretrain \
    --corpus "$corpus" --out "$out" ${VALIDATION:+--validation "$VALIDATION"} \
    --config "$config" --device "$device" --minutes "$minutes" \
    --loader-workers "$WORKERS" --no-progress-bar
  du -sh "$out/checkpoint" "$out/last.ckpt"
fi
