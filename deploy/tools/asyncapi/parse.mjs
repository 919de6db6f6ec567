// Parses AsyncAPI documents. Of each it prints a line: what it has, or that it is bad, and on stderr the problems.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"));
  const problems = diagnostics.filter((d) => d.severity <= 1); // errors and warnings
  for (const d of problems) console.error(`${file}: ${d.path.join(".")}: ${d.message} (${d.code})`);
  if (!document || problems.length > 0) console.log(`${file}: bad`);
  else console.log(`${file}: AsyncAPI ${document.version()}, ${document.channels().all().length} channels, ${document.operations().all().length} operations`);
}
