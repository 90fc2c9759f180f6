#!/usr/bin/env bash
# Pins every dependency of every member, with hashes, into requirements.lock.
#   deploy/lock.sh           rewrite the lock, keeping pins that still fit
#   deploy/lock.sh --check   fail when the lock no longer answers the members' pyproject.toml files
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
[ -x "$uv" ] || uv=uv
out=requirements.lock
sources=$(mktemp)
trap 'rm -f "$sources"' EXIT
skip=()
for member in libs/* services/*; do
  echo "-e ./$member" >> "$sources"
  # Members are installed from the tree with --no-deps, never from an index: a bare name there may be a stranger's.
  skip+=(--no-emit-package "onefolio-${member#*/}")
done
if [ "${1:-}" = --check ]; then
  out=$(mktemp)
  trap 'rm -f "$sources" "$out"' EXIT
  cp requirements.lock "$out"
fi
"$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  "${skip[@]}" --group dev "$sources" -o "$out"
if grep -n '://' "$out"; then
  echo "requirements.lock must not record where packages come from" >&2
  exit 1
fi
if [ "${1:-}" = --check ] && ! diff -u requirements.lock "$out"; then
  echo "requirements.lock is stale: run 'make lock'" >&2
  exit 1
fi
