#!/bin/sh
# What one job's tasks may do: a policy, and a role of the same name for the binding rule to find.
# Both together, because a role loses a policy that is deleted, whoever makes it again.
set -eu
policy=$(dirname "$0")/policy.sh
case $1 in
put)
  sh "$policy" put
  if shown=$("$CLI" acl role read -name "$NAME" 2>/dev/null); then
    id=$(printf '%s\n' "$shown" | sed -n 's/^ID: *//p')
    set -- update -no-merge -id "$id"
  else
    set -- create
  fi
  "$CLI" acl role "$@" -name "$NAME" -description "Managed by Terraform" -policy-name "$NAME" >/dev/null
  ;;
delete)
  out=$("$CLI" acl role delete -name "$NAME" 2>&1) || case $out in
  *"not found"*) ;;
  *)
    printf '%s\n' "$out" >&2
    exit 1
    ;;
  esac
  sh "$policy" delete
  ;;
esac
