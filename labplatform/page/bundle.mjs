// Bundles src/agent.ts into one script. `node bundle.mjs [FILE]`, at build time only; dist/agent.js if no file is named.
import { build } from "esbuild";

await build({
  entryPoints: ["src/agent.ts"],
  bundle: true,
  outfile: process.argv[2] ?? "dist/agent.js",
  charset: "utf8",
  target: "chrome120",
  // The app host puts `const __LABPLATFORM__ = …;` in front, so that a directive at the top of the file would no longer
  // be one. It stands inside the function: strict functions have no `caller` from which a page could read their source.
  format: "esm",
  banner: { js: '(() => {\n"use strict";' },
  footer: { js: "})();" },
  logLevel: "warning",
});
