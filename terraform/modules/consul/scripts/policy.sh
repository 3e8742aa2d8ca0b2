#!/bin/sh
# An ACL policy; CONTENT is its rules. A read that fails for another reason than absence leads to a
# create, which then says what is wrong.
set -eu
case $1 in
put)
  if shown=$("$CLI" acl policy read -name "$NAME" 2>/dev/null); then
    id=$(printf '%s\n' "$shown" | sed -n 's/^ID: *//p')
    set -- update -no-merge -id "$id"
  else
    set -- create
  fi
  printf '%s\n' "$CONTENT" |
    "$CLI" acl policy "$@" -name "$NAME" -description "Managed by Terraform" -rules - >/dev/null
  ;;
delete)
  out=$("$CLI" acl policy delete -name "$NAME" 2>&1) || case $out in
  *"not found"*) ;;
  *)
    printf '%s\n' "$out" >&2
    exit 1
    ;;
  esac
  ;;
esac
