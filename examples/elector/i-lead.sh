#!/bin/sh
# i-lead.sh: ends with 0 if this pod leads, with 1 if another one does or nobody, with 2 if that is not known.
#
#     i-lead.sh && make-the-backup
#
# ELECTOR_GET_URL names the elector (http://localhost:6060/), POD_NAME this pod (the host name).
me=${POD_NAME:-$(hostname)}
answer=$(curl -sS --fail --max-time 2 "${ELECTOR_GET_URL:-http://localhost:6060/}") || exit 2
# Names of pods need no escapes in JSON, so this is exact.
case $answer in
*"\"name\":\"$me\""*) exit 0 ;;
esac
exit 1
