#!/usr/bin/env bash
# usage: ray_up.sh CHECKOUT BIN COMMAND [ARG...]
#
# Brings the cluster of examples/clusters/on-premise.yaml up on this machine, by the real `ray up`
# over a real sshd on loopback, and runs a command beside it, in which CLUSTER names the file. All of
# it is in namespaces of its own, see apart.sh. Needs openssh-server and rsync too. BIN is where
# `ray` and `taskqueue` are.
set -eu
checkout=$1 bin=$2
. "$(dirname "$0")/apart.sh"
shift 2

export RAY_AUTH_MODE=token
mkdir -p -m 700 $HOME/.ssh $HOME/.config/taskqueue-ray /run/sshd
# The node's user is this one, at home in the new home.
sed "s#^\($(id -un):.*\):[^:]*:\([^:]*\)\$#\1:$HOME:\2#" /etc/passwd > /tmp/passwd
mount --bind /tmp/passwd /etc/passwd

ssh-keygen -q -t ed25519 -N '' -f $HOME/.ssh/id_ed25519
install -m 600 $HOME/.ssh/id_ed25519.pub $HOME/.ssh/authorized_keys
$(command -v sshd || echo /usr/sbin/sshd) -o ListenAddress=127.0.0.1 -o PidFile=/tmp/sshd.pid \
  -o PermitRootLogin=prohibit-password -E /tmp/sshd.log

ray get-auth-token --generate > /dev/null
python -c 'import base64, secrets; print(base64.b64encode(secrets.token_bytes(32)).decode())' > $HOME/.config/taskqueue-ray/key
chmod 600 $HOME/.config/taskqueue-ray/key
# What the file would install is installed; the code is what the file brings to the node.
ln -s "$(dirname "$bin")" $HOME/taskqueue
echo 'export PYTHONPATH=$HOME/taskqueue-ray' > $HOME/.bashrc

export CLUSTER=/tmp/cluster.yaml
python - "$checkout/examples/clusters/on-premise.yaml" "$(id -un)" > $CLUSTER <<'PYTHON'
import sys
import yaml

with open(sys.argv[1]) as file:
    config = yaml.safe_load(file)
config["provider"] |= {"head_ip": "127.0.0.1", "worker_ips": []}
config["auth"]["ssh_user"] = sys.argv[2]
config |= {"min_workers": 0, "max_workers": 0}
print(yaml.safe_dump(config))
PYTHON

cd "$checkout"
ray up "$CLUSTER" --yes --no-config-cache > /tmp/up.log 2>&1 || { cat /tmp/up.log; exit 1; }
cd $HOME
"$@"
