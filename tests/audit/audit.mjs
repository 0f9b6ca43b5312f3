// Audit a GraphQL server by the specification of GraphQL over HTTP: node audit.mjs http://127.0.0.1:8000/graphql/
//
// Prints a line for each audit and one with their numbers; exits with 1 when any is a warning or an error.

import { auditServer } from "graphql-http";

const url = process.argv[2];
if (!url) {
  console.error("usage: node audit.mjs URL");
  process.exit(2);
}

// Node's fetch keeps connections open, which a development server may close in the middle of the next request.
const fetchFn = (address, options = {}) =>
  fetch(address, { ...options, headers: { ...options.headers, connection: "close" } });

const results = await auditServer({ url, fetchFn });
const numbers = { ok: 0, notice: 0, warn: 0, error: 0 };
for (const { id, name, status, reason } of results) {
  numbers[status] += 1;
  console.log(`${status.padEnd(6)} ${id} ${name}${reason ? `: ${reason}` : ""}`);
}
console.log(Object.entries(numbers).map(([status, number]) => `${number} ${status}`).join(", "));
process.exit(results.length === 0 || numbers.warn || numbers.error ? 1 : 0);
