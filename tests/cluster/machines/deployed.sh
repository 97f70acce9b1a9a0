# What the head of examples/clusters/on-premise.yaml says, on the cluster that ray_up.sh made.
set -eu
on_head() { ray exec "$CLUSTER" "$1" 2>&1; }

mkdir /tmp/shop && cd /tmp/shop
cat > my_jobs.py <<'PYTHON'
import taskqueue_ray as tq


@tq.job
def greet(name: str) -> str:
    return f"Hello, {name}"
PYTHON
ray rsync-up -A "$CLUSTER" my_jobs.py '~/my_jobs.py' 2>&1
on_head 'taskqueue up --app my_jobs'
on_head 'taskqueue enqueue my_jobs:greet -a name=Ada --wait 60s --json'
echo "== status"
on_head 'taskqueue status'
echo "== down"
on_head 'taskqueue down'
echo "== up again"
on_head 'taskqueue up --app my_jobs'
on_head 'taskqueue jobs list --json'
on_head 'taskqueue down'
echo "== ray down"
ray down "$CLUSTER" --yes 2>&1
echo "ray processes: $(pgrep -c -f 'gcs_server|raylet' || true)"
echo "left on the disk: $(ls ~/queue | tr '\n' ' ')"
