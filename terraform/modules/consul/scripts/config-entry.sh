#!/bin/sh
# A config entry; NAME is kind/name. Consul's write is create-or-update, and its delete is silent
# about an entry that is gone already.
set -eu
case $1 in
put) printf '%s\n' "$CONTENT" | "$CLI" config write - >/dev/null ;;
delete) "$CLI" config delete -kind "${NAME%%/*}" -name "${NAME#*/}" >/dev/null ;;
esac
