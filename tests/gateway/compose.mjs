// Compose subgraphs, given as JSON on standard input, by the composer of the specification's own authors.
//
// Prints JSON: the supergraph's length, errors and hints.

import { readFileSync } from "node:fs";
import apollo from "@apollo/composition";
import { parse } from "graphql";

const subgraphs = JSON.parse(readFileSync(0, "utf8"));
const { supergraphSdl, errors, hints } = apollo.composeServices(
  subgraphs.map(({ name, url, source }) => ({ name, url, typeDefs: parse(source) })),
);
const messages = (list) => (list ?? []).map(({ message }) => message);
console.log(JSON.stringify({ supergraph: supergraphSdl ?? "", errors: messages(errors), hints: messages(hints) }));
