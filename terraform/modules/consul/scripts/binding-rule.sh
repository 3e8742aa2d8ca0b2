#!/bin/sh
# A binding rule of nomad-workloads; CONTENT is three lines: type, name, selector. Rules have no name
# of their own, so the description tells them apart.
set -eu
method=nomad-workloads
ids() {
  "$CLI" acl binding-rule list -method "$method" |
    awk -v name="$NAME" '/^[0-9a-f-]+:$/ { id = substr($1, 1, length($1) - 1) } sub(/^ *Description: */, "") && $0 == name { print id }'
}
case $1 in
put)
  type=$(printf '%s\n' "$CONTENT" | sed -n 1p)
  bind=$(printf '%s\n' "$CONTENT" | sed -n 2p)
  selector=$(printf '%s\n' "$CONTENT" | sed -n 3p)
  found=$(ids)
  id=$(printf '%s\n' "$found" | sed -n 1p)
  if [ -n "$id" ]; then
    set -- update -no-merge -id "$id"
  else
    set -- create -method "$method"
  fi
  "$CLI" acl binding-rule "$@" -description "$NAME" \
    -bind-type "$type" -bind-name "$bind" -selector "$selector" >/dev/null
  ;;
delete)
  found=$(ids)
  for id in $found; do
    "$CLI" acl binding-rule delete -id "$id" >/dev/null
  done
  ;;
esac
