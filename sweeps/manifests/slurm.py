"""A sweep as a batch script for Slurm: Ray on all nodes (`ray symmetric-run`), and the same job again before its limit.

Ray's command does not pass signals on, so the driver leaves its process id, which the script's own shell can signal:
Slurm runs it on the first node, and so the driver too.
"""

import shlex

from sweeps.manifests.demand import Demand, Job
from sweeps.refusals import Refusal

#: Before the limit: a driver ends within seconds, Ray's processes within a minute.
NOTICE_S = 180

_PORT = 6379

_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={sweep}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
{gpus}#SBATCH --time={time}
#SBATCH --output={sweep}-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{notice}

# From the checkout, with its .venv: sbatch {sweep}.sh
# Addresses and passwords are taken from the environment of sbatch: SWEEPS_LEDGER, MLFLOW_TRACKING_URI and the like.

set -uo pipefail
source .venv/bin/activate
export SWEEPS_LOG_FORMAT=json RAY_AUTH_MODE=token
if [ -z "${{RAY_AUTH_TOKEN:-}}" ] && [ ! -s "${{RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}}" ]; then
  echo "Ray asks for a token on every node; make one where all see it: ray get-auth-token --generate" >&2
  exit 2
fi

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export SWEEPS_DRIVER_PID
SWEEPS_DRIVER_PID=$(mktemp)
near_the_limit=

end_in_time() {{
  near_the_limit=yes
  kill -TERM "$(cat "$SWEEPS_DRIVER_PID")"
}}
trap end_in_time USR1

# srun takes the number of CPUs from nobody but its own command (since Slurm 22.05)
srun --cpus-per-task={cpus} \\
  ray symmetric-run --address "$head:{port}" --min-nodes {nodes} --num-cpus {cpus} --num-gpus {num_gpus} -- \\
  bash -c {command} &
while true; do
  wait $!
  code=$?
  kill -0 $! 2> /dev/null || break  # else it was the signal that ended the wait
done
rm -f "$SWEEPS_DRIVER_PID"

if [ -n "$near_the_limit" ]; then
  scontrol requeue "$SLURM_JOB_ID"  # which resumes the sweep
fi
exit $code
"""


def batch_script(job: Job, time: str, workers: int | None) -> str:
    """The script, for `sbatch`; `time` is its limit as Slurm writes it. Raises `Refusal`."""
    if not time.replace("-", "").replace(":", "").isdigit():
        raise Refusal(f"a limit is minutes, hours:minutes:seconds or days-hours, and --time {time} is none: 24:00:00")
    demand = Demand.of(job.loaded.file.resources, workers)
    return _SCRIPT.format(
        sweep=job.sweep,
        nodes=demand.machines,
        cpus=demand.cpus + 1,  # one for the driver, on the first node
        gpus=f"#SBATCH --gpus-per-node={demand.gpus}\n" if demand.gpus else "",
        num_gpus=demand.gpus,
        time=time,
        notice=NOTICE_S,
        port=_PORT,
        command=shlex.quote(f'echo $$ > "$SWEEPS_DRIVER_PID"; {job.command()}'),
    )
