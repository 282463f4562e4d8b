// Bundles src/agent.ts into one script. `node bundle.mjs [FILE]`, at build time only; dist/agent.js if no file is named.
import { readFile } from "node:fs/promises";
import { build } from "esbuild";

const { dependencies } = JSON.parse(await readFile("package.json", "utf8"));
const libraries = Object.entries(dependencies).map(([name, version]) => `${name} ${version}`);

await build({
  entryPoints: ["src/agent.ts"],
  bundle: true,
  outfile: process.argv[2] ?? "dist/agent.js",
  // The generated validators of every message would be most of the bundle; see src/validators.ts.
  alias: { "@finos/fdc3-schema": "./src/validators.ts" },
  // The libraries look for node's; a page has none, whatever it names so.
  define: { process: "undefined" },
  minify: true,
  charset: "utf8",
  target: "chrome120",
  // The app host puts `const __LABPLATFORM__ = …;` in front, so that a directive at the top of the file would no longer
  // be one. It stands inside the function: strict functions have no `caller` from which a page could read their source.
  format: "esm",
  banner: {
    js: `// Contains ${libraries.join(" and ")}, copyright FINOS FDC3 contributors, Apache-2.0\n(() => {\n"use strict";`,
  },
  footer: { js: "})();" },
  logLevel: "warning",
});
