// Writes the sum of the sources beside the built files; a test compares it, so that nobody forgets to build.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

const sources = ["../src/congru/export/wasm/congru.js", "index.html", "package-lock.json", "vite.config.js", ...files("src"), ...files("public")].sort();
const sum = createHash("sha256");
for (const name of sources) sum.update(name).update("\0").update(readFileSync(name)).update("\0");
writeFileSync("../src/congru/serve/static/sources.txt", sum.digest("hex") + "\n");
