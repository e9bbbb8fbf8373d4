import { defineConfig } from "vite";

// Bundles out of one source: `page` for the one-file page of a circuit, `atlas` for that of an atlas, `studio` for the server. Each is one classic
// script and one style sheet, so that a page can hold them inline under a content-security policy of hashes.
export default defineConfig(({ mode }) => ({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    outDir: "../clew/apps/_front",
    emptyOutDir: false,
    target: "es2022",
    cssTarget: "es2022",
    lib: { entry: `src/${mode}.tsx`, formats: ["iife"], name: "clew", fileName: () => `${mode}.js`, cssFileName: mode },
  },
}));
