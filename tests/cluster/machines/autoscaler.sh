#!/usr/bin/env bash
# usage: autoscaler.sh CHECKOUT BIN COMMAND [ARG...]
#
# Runs a command beside a Ray head whose real autoscaler starts and stops nodes on this machine
# (Ray's provider `fake_multinode`): up to two, each with 2 CPUs and 2 of the resource "room". All of
# it is in namespaces of its own, see apart.sh.
set -eu
checkout=$1 bin=$2
. "$(dirname "$0")/apart.sh"
shift 2

export RAY_AUTH_MODE=disabled RAY_FAKE_CLUSTER=1 RAY_enable_autoscaler_v2=1 AUTOSCALER_UPDATE_INTERVAL_S=1
head=fffffffffffffffffffffffffffffffffffffffffffffffffffffff0
ssh-keygen -q -t ed25519 -N '' -f /tmp/key
cat > /tmp/autoscaler.yaml <<YAML
cluster_name: fake_multinode
max_workers: 3
provider: {type: fake_multinode, launch_multiple: true, head_node_id: $head}
available_node_types:
  ray.head.default: {resources: {CPU: 1}, node_config: {}, max_workers: 0}
  worker: {resources: {CPU: 2, room: 2}, node_config: {}, min_workers: 0, max_workers: 2}
head_node_type: ray.head.default
upscaling_speed: 1.0
idle_timeout_minutes: 0.1
auth: {ssh_user: root, ssh_private_key: /tmp/key}
docker: {}
initialization_commands: []
setup_commands: []
head_setup_commands: []
worker_setup_commands: []
head_start_ray_commands: []
worker_start_ray_commands: []
file_mounts: {}
cluster_synced_files: []
file_mounts_sync_continuously: false
rsync_exclude: []
rsync_filter: []
YAML
# Ray's wheel lacks a file that this provider reads. It is put there for these namespaces alone.
provider=$(python -c 'import os, ray; print(os.path.dirname(ray.__file__) + "/autoscaler/_private/fake_multi_node")')
cp -r "$provider" /tmp/provider
cp /tmp/autoscaler.yaml /tmp/provider/example.yaml
mount --bind /tmp/provider "$provider"

RAY_CLOUD_INSTANCE_ID=$head RAY_OVERRIDE_NODE_ID_FOR_TESTING=$head \
  ray start --head --num-cpus=1 --autoscaling-config=/tmp/autoscaler.yaml --include-dashboard=false > /tmp/start.log 2>&1 || { cat /tmp/start.log; exit 1; }
"$@"
