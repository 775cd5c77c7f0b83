#!/bin/bash
# What a careful person writes by hand: an account and its token from the files
# of a mounted Secret. It is here to be measured, not to be used: it takes over
# any account of that name, and leaves every former token working.
set -euo pipefail
username=$(<"$SECRET/username") password=$(<"$SECRET/password") token=$(<"$SECRET/token")
api=$NAUTOBOT_URL/api/users
ask() { curl --silent --show-error --fail-with-body --retry 24 --retry-delay 5 --retry-connrefused -H 'Content-Type: application/json' "$@"; }
admin=(-H "Authorization: Token $NAUTOBOT_TOKEN")
user=$(jq -n --arg u "$username" --arg p "$password" '{username: $u, password: $p, is_superuser: true, is_staff: true}')
id=$(ask "${admin[@]}" -G --data-urlencode "username=$username" "$api/users/" | jq -r '.results[0].id // empty')
if [ -z "$id" ]; then ask "${admin[@]}" -d "$user" "$api/users/" >/dev/null; else ask "${admin[@]}" -X PATCH -d "$user" "$api/users/$id/" >/dev/null; fi
if ! ask -u "$username:$password" "$api/tokens/?limit=1000" | jq -e --arg t "$token" '.results | any(.key == $t)' >/dev/null; then
	ask -u "$username:$password" -d "$(jq -n --arg t "$token" '{key: $t}')" "$api/tokens/" >/dev/null
fi
