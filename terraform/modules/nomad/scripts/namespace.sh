#!/bin/sh
# A namespace; CONTENT is its description. Nomad refuses to delete one that still has jobs.
set -eu
case $1 in
put) "$CLI" namespace apply -description "$CONTENT" "$NAME" >/dev/null ;;
delete)
  out=$("$CLI" namespace delete "$NAME" 2>&1) || case $out in
  *"doesn't exist"* | *"not found"*) ;;
  *)
    printf '%s\n' "$out" >&2
    exit 1
    ;;
  esac
  ;;
esac
