// Builds the page into the package: names without hashes, so that a change of the source is one change of a file.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/congru/serve/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "[name].js",
        assetFileNames: "page[extname]",
      },
    },
  },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8017", ws: true } } },
});
