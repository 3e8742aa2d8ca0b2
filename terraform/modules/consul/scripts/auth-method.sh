#!/bin/sh
# The JWT auth method; CONTENT is its JSON configuration. It is updated in place, since deleting it
# revokes every token that came from it.
set -eu
case $1 in
put)
  if "$CLI" acl auth-method read -name "$NAME" >/dev/null 2>&1; then
    set -- update -no-merge
  else
    set -- create -type jwt
  fi
  printf '%s\n' "$CONTENT" |
    "$CLI" acl auth-method "$@" -name "$NAME" -description "Managed by Terraform" -config - >/dev/null
  ;;
delete)
  out=$("$CLI" acl auth-method delete -name "$NAME" 2>&1) || case $out in
  *"not found"*) ;;
  *)
    printf '%s\n' "$out" >&2
    exit 1
    ;;
  esac
  ;;
esac
