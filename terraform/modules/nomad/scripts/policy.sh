#!/bin/sh
# An ACL policy; CONTENT is its rules.
set -eu
case $1 in
put) printf '%s\n' "$CONTENT" | "$CLI" acl policy apply -description "Managed by Terraform" "$NAME" - >/dev/null ;;
delete)
  out=$("$CLI" acl policy delete "$NAME" 2>&1) || case $out in
  *"not found"*) ;;
  *)
    printf '%s\n' "$out" >&2
    exit 1
    ;;
  esac
  ;;
esac
