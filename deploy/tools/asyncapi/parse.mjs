// Parses an AsyncAPI document, and prints its problems, or how many channels and operations it has.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
const problems = diagnostics.filter((d) => d.severity <= 1); // errors and warnings
for (const d of problems) console.error(`${d.path.join(".")}: ${d.message} (${d.code})`);
if (!document || problems.length > 0) process.exit(1);
console.log(`AsyncAPI ${document.version()}: ${document.channels().all().length} channels, ${document.operations().all().length} operations`);
