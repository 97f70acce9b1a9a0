// Enqueue a job and wait for its result from JavaScript. QUEUE_URL and QUEUE_TOKEN say where and with what.
import { randomBytes } from "node:crypto";

const { QUEUE_URL, QUEUE_TOKEN } = process.env;

async function call(method, path, body) {
  const answer = await fetch(`${QUEUE_URL}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${QUEUE_TOKEN}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(`${told.title}: ${told.detail}`); // a problem, RFC 9457
  return { status: answer.status, ...told };
}

// With a unique key the same request may be sent again: it is the same job.
const unique = randomBytes(8).toString("hex");
const job = { type: "taskqueue_ray.jobs.TestJob", args: [{ echo: "hello from JavaScript" }], unique };
const { id } = await call("POST", "/jobs", job);

let ended;
do ended = await call("GET", `/jobs/${id}/result?wait=30`);
while (ended.status === 202);
console.log(ended.state, ended.result);
