#!/bin/sh
# Enqueue a job and wait for its result with curl. QUEUE_URL and QUEUE_TOKEN say where and with what.
set -eu
auth="Authorization: Bearer $QUEUE_TOKEN"

id=$(curl -sS --fail-with-body "$QUEUE_URL/api/v1/jobs" -H "$auth" -H "Content-Type: application/json" \
  -d '{"type": "taskqueue_ray.jobs.TestJob", "args": [{"echo": "hello from curl"}]}' |
  sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')

curl -sS --fail-with-body "$QUEUE_URL/api/v1/jobs/$id/result?wait=60" -H "$auth"
