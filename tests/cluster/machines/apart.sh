# Sourced by the scripts beside it, which have set `checkout` and `bin`: what follows runs in
# namespaces of its own (mounts, processes, network) with a /tmp and a home of its own, on the
# checkout's code, and ends with them. Needs root.
if [ -z "${APART:-}" ]; then
  exec env APART=1 unshare --mount --net --pid --fork --mount-proc --kill-child bash "$0" "$@"
fi

# Both stay where they are even if that is under /tmp.
mkdir -p /mnt
mount --bind "$checkout" /mnt
mount -t tmpfs tmpfs /tmp
mkdir -p "$checkout" /tmp/ray
mountpoint -q "$checkout" || [ -e "$checkout/pyproject.toml" ] || mount --bind /mnt "$checkout"
export HOME=/tmp/home PATH="$bin:$PATH" PYTHONPATH="$checkout"
mkdir -p -m 700 "$HOME"
unset RAY_ADDRESS RAY_TMPDIR
python -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))' # loopback up
