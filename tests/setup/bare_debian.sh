#!/usr/bin/env bash
# Proves the README's two commands in a bare Debian: nothing in it but Python, git and certificates.
#
#   tests/setup/bare_debian.sh [options] [-- options for pytest]
#
#   --as-user      first as an ordinary user without sudo: set-up must name the line for root, and go on after it
#   --only-lab     leave out binder/test
#   --ci           call .ci/run in place of binder/test
#   --suite NAME   Debian release (default: bookworm)
#   --mirror URL   where debootstrap fetches from (default: the Debian archive of this machine's apt sources)
#   --folder DIR   keep the bare base there and use it again (default: a temporary folder, removed at the end)
#
# Needs root and debootstrap. The commit at HEAD is what is cloned. Everything runs in a process and a mount namespace
# of its own, so nothing of it outlives this script; how this machine reaches the network (name server, certificates,
# proxy, package indexes) is carried over and nothing else. Without options for pytest: -m "not long" -x -q
set -euo pipefail

suite=bookworm
mirror=''
folder=''
as_user=''
only_lab=''
test_command=binder/test
while [ $# -gt 0 ]; do
  case "$1" in
    --as-user) as_user=1 ;;
    --only-lab) only_lab=1 ;;
    --ci) test_command=.ci/run ;;
    --suite) suite=$2; shift ;;
    --mirror) mirror=$2; shift ;;
    --folder) folder=$2; shift ;;
    --help | -h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    --) shift; break ;;
    *) echo "bare_debian.sh: unknown option $1 (--help tells more)" >&2; exit 2 ;;
  esac
  shift
done
if [ $# -eq 0 ]; then set -- -m 'not long' -x -q; fi
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

say() { printf '\n== bare %s: %s (%d s)\n' "$suite" "$*" "$SECONDS"; }
fail() { printf 'bare_debian.sh: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "needs root, for debootstrap and chroot."
command -v debootstrap >/dev/null || fail "needs debootstrap: apt-get install debootstrap"

# --- the bare base ----------------------------------------------------------------------------------------------------

# Lines "URI codename" of what this machine's apt reads, security and updates included.
archives=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
  awk -v suite="$suite" '$2 == suite || index($2, suite "-") == 1' | sort -u)
if [ -z "$mirror" ]; then mirror=$(awk -v suite="$suite" '$2 == suite { print $1; exit }' <<<"$archives"); fi
[ -n "$mirror" ] || fail "this machine's apt sources know no Debian $suite; name a mirror: --mirror URL"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/labplatform-bare.XXXXXX")
trap 'rm -rf --one-file-system "$scratch"' EXIT
: "${folder:=$scratch}"
mkdir -p "$folder"
base=$folder/$suite
if [ ! -f "$base.done" ]; then
  say "debootstrap"
  rm -rf --one-file-system "$base"
  debootstrap --variant=minbase --include=python3,git,ca-certificates "$suite" "$base" "$mirror" \
    >"$base.log" 2>&1 || { tail -n 20 "$base.log" >&2; fail "debootstrap failed"; }
  touch "$base.done"
fi
root=$scratch/root
cp -a --reflink=auto "$base" "$root"

# As container images come: without package lists, and nobody but root.
rm -rf "$root"/var/lib/apt/lists/*
{
  echo "deb $mirror $suite main"
  awk -v suite="$suite" '$2 != suite { print "deb", $1, $2, "main" }' <<<"$archives"
} >"$root/etc/apt/sources.list"

# --- how this machine reaches the network -----------------------------------------------------------------------------

cat /etc/resolv.conf >"$root/etc/resolv.conf"
cat /etc/hosts >"$root/etc/hosts"
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if [ -r "$certificates" ]; then cat "$certificates" >"$root/etc/ssl/certs/ca-certificates.crt"; fi
{
  echo "export HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  for name in SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS NPM_CONFIG_CAFILE; do
    echo "export $name=/etc/ssl/certs/ca-certificates.crt"
  done
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_DEFAULT_TIMEOUT \
    NPM_CONFIG_REGISTRY; do
    if [ -n "${!name:-}" ]; then printf 'export %s=%q\n' "$name" "${!name}"; fi
  done
} >"$root/etc/labplatform-network"
# An index in a folder of this machine is not there in a bare one.
if [ -r /etc/pip.conf ]; then grep -v 'file://' /etc/pip.conf >"$root/etc/pip.conf" || true; fi

git -C "$project" bundle create --quiet "$root/srv/labplatform.bundle" HEAD
commit=$(git -C "$project" rev-parse HEAD)

# --- what is proved, inside -------------------------------------------------------------------------------------------

cat >"$root/srv/try-lab.py" <<'PYTHON'
"""Starts `binder/lab --no-browser`, opens the lesson over HTTP as a browser would, stops it as Ctrl-C does."""

import re, signal, subprocess, sys, threading, time, urllib.error, urllib.request

began = time.monotonic()
lab = subprocess.Popen(
    ["binder/lab", "--no-browser", *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    start_new_session=True,
)
deadline = threading.Timer(1200, lab.kill)
deadline.daemon = True
deadline.start()
url = None
for line in lab.stdout:
    print("   ", line, end="", flush=True)
    found = re.search(r"http://(?:127\.0\.0\.1|localhost):\d+/\S*", line)
    if found and "token=" in found[0]:
        url = found[0]
        break
if not url:
    sys.exit(f"binder/lab ended with {lab.wait()} without printing an address")
threading.Thread(target=lambda: [None for _ in lab.stdout], daemon=True).start()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
while True:  # the address is printed a moment before it is served
    try:
        answer = opener.open(url, timeout=60)
        break
    except urllib.error.URLError:
        if lab.poll() is not None or time.monotonic() > began + 1200:
            raise
        time.sleep(0.1)
with answer:
    page = answer.read().decode()
    if answer.status != 200 or "jupyter-config-data" not in page:
        sys.exit(f"{url} answered {answer.status}, which is not JupyterLab")
base, token = re.match(r"(http://[^/]+).*[?&]token=(\w+)", url).groups()
path = urllib.request.urlparse(url).path
if "01_isolation.ipynb" not in path:
    sys.exit(f"JupyterLab opens on {path}, not on the first lesson")
lesson = path.split("/tree/", 1)[1]
with opener.open(f"{base}/api/contents/{lesson}?content=0&token={token}", timeout=60) as answer:
    if b'"writable": true' not in answer.read().replace(b'"writable":true', b'"writable": true'):
        sys.exit(f"{lesson} is not writable")
print(f"JupyterLab opened on {lesson} after {time.monotonic() - began:.0f} s")
lab.send_signal(signal.SIGINT)
try:
    lab.wait(30)
except subprocess.TimeoutExpired:
    sys.exit("binder/lab did not end within 30 s of Ctrl-C")
PYTHON

cat >"$root/srv/inside" <<'INSIDE'
#!/bin/bash
# Runs as process 1 of the bare system.
set -euo pipefail
. /etc/labplatform-network
as_user=$1 only_lab=$2 test_command=$3 commit=$4
shift 4
say() { printf '\n== inside: %s (%d s)\n' "$*" "$SECONDS"; }
fail() { printf '\n== inside: FAILED: %s\n' "$*"; exit 1; }
learner() { setpriv --reuid learner --regid learner --init-groups env HOME=/home/learner USER=learner "$@"; }

for tool in sudo pip3 node npm gcc curl chromium; do
  if command -v "$tool" >/dev/null; then fail "not a bare system: it has $tool"; fi
done
if python3 -c 'import ensurepip' 2>/dev/null; then fail "not a bare system: it has ensurepip"; fi

do_as=env
home=/root
if [ -n "$as_user" ]; then
  useradd --create-home --shell /bin/bash learner
  do_as=learner home=/home/learner
fi
cd "$home"
$do_as git -c advice.detachedHead=false clone --quiet /srv/labplatform.bundle labplatform
cd labplatform
[ "$(git -c safe.directory="$PWD" rev-parse HEAD)" = "$commit" ] || fail "cloned another commit"

if [ -n "$as_user" ]; then
  for what in lab ${only_lab:-test}; do
    if [ "$what" = 1 ]; then continue; fi
    say "set-up for $what as an ordinary user without sudo must say what root has to run"
    if learner binder/setup "$what" >/tmp/refused 2>&1; then fail "set-up did not ask for root"; fi
    cat /tmp/refused
    line=$(grep -E '^set-up:  *apt-get ' /tmp/refused | sed 's/^set-up: *//') || fail "no line for root"
    if [ -e .venv ]; then [ "$what" = test ] || fail "set-up went on without the system packages"; fi
    bash -c "$line" >/tmp/apt.log 2>&1 || { tail -n 20 /tmp/apt.log; fail "root could not run: $line"; }
  done
fi

say "binder/lab"
$do_as python3 /srv/try-lab.py

say "binder/setup with nothing to do"
before=$(date +%s%N)
said=$($do_as binder/setup lab 2>&1)
took=$((($(date +%s%N) - before) / 1000000))
[ -z "$said" ] || fail "set-up found something to do: $said"
[ "$took" -lt 1000 ] || fail "set-up took $took ms to find nothing to do"
echo "$took ms"

status=0
if [ -z "$only_lab" ]; then
  say "$test_command $*"
  $do_as "$test_command" "$@" || status=$?
  say "$test_command ended with $status"
fi

# Process 1 is this shell, and everything else here was started by it.
left=
for folder in /proc/[0-9]*; do
  pid=${folder#/proc/}
  if [ "$pid" != 1 ] && [ "$(cut -d ' ' -f 3 <"$folder/stat" 2>/dev/null)" != Z ]; then
    left="$left$pid: $(tr '\0' ' ' <"$folder/cmdline" 2>/dev/null)"$'\n'
  fi
done
left=$(grep -v -E '^[0-9]+: *$' <<<"$left") || true
[ -z "$left" ] || fail "processes are left:"$'\n'"$left"
exit "$status"
INSIDE

cat >"$root/srv/enter" <<'ENTER'
# Runs on the machine, in fresh namespaces; the mounts vanish with them.
set -euo pipefail
root=$1
shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/dev/shm" # what Docker gives a container
# Not a mere chroot: in one, nobody may make the namespaces that Chromium's sandbox is built from.
mkdir "$root/srv/machine"
cd "$root"
pivot_root . srv/machine
exec chroot . /bin/bash -c 'umount --lazy /srv/machine && exec env -i /bin/bash /srv/inside "$@"' bash "$@"
ENTER

say "entering it with commit ${commit:0:10}"
unshare --mount --pid --fork --kill-child -- /bin/bash "$root/srv/enter" \
  "$root" "$as_user" "$only_lab" "$test_command" "$commit" "$@" </dev/null
say "passed"
