// Bundles src/*.js and src/*.css with the npm packages they import into web/static/dist: hashed names, a manifest,
// .br and .gz beside each file, one sprite of the icons in use, and the licences of what went in.
// Called by build.py; `npm run watch` rebuilds on every change.
import * as esbuild from 'esbuild';
import { PurgeCSS } from 'purgecss';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const root = path.resolve(import.meta.dirname, '../..');
const source = path.join(root, 'web/assets/src');
const dist = path.join(root, 'web/static/dist');
const templates = path.join(root, 'web/templates');

const list = (folder, ending) =>
  fs.readdirSync(folder, { recursive: true }).filter((f) => f.endsWith(ending)).sort().map((f) => path.join(folder, f));

// What names classes and icons: templates and the Python of pages.
const naming = () => {
  const python = fs.readdirSync(path.join(root, 'web')).filter((f) => f.endsWith('.py')).map((f) => path.join(root, 'web', f));
  return [...list(templates, '.html'), ...list(path.join(root, 'web/demo'), '.html'), ...python, ...list(path.join(root, 'web/pages'), '.py')];
};

const write = (out, name, content) => {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 10);
  const { name: stem, ext } = path.parse(name);
  const file = `${stem}-${hash}${ext}`;
  fs.writeFileSync(path.join(out, file), content);
  return { file, imports: [] };
};

// The kit's style sheet is 79 kB gzipped; what no template uses is dropped (10 kB stay). Its class names must stand
// literally inside a tag of a template or in a script; our own style sheets are never purged.
const words = (text) => text.match(/[\w-]+/g) ?? [];
const insideTags = (html) => (html.match(/<[a-z][^<]*?>/gs) ?? []).flatMap(words);

const kit = {
  name: 'kit',
  setup(build) {
    build.onLoad({ filter: /tabler\.css$/ }, async ({ path: file }) => {
      const [result] = await new PurgeCSS().purge({
        css: [{ raw: fs.readFileSync(file, 'utf8') }],
        content: [`${templates}/**/*.html`, `${source}/**/*.js`],
        extractors: [{ extensions: ['html'], extractor: insideTags }, { extensions: ['js'], extractor: words }],
        safelist: { standard: ['html', 'body'], greedy: [/data-bs-theme/] },
        keyframes: true,
        variables: true,
      });
      return { contents: result.css, loader: 'css', resolveDir: path.dirname(file) };
    });
  },
};

// theme.js runs before the first paint, t.js on other people's pages: classic scripts; everything else is a module.
const CLASSIC = ['theme.js', 't.js'];

async function bundle(out) {
  const options = {
    absWorkingDir: root, outdir: out, bundle: true, minify: true, metafile: true, target: 'es2022', charset: 'utf8',
    entryNames: '[name]-[hash]', chunkNames: 'part-[hash]', legalComments: 'none', logLevel: 'warning',
    loader: { '.svg': 'dataurl' }, plugins: [kit],
  };
  const entries = fs.readdirSync(source).filter((f) => /\.(js|css)$/.test(f)).map((f) => path.join(source, f)); // parts live in folders
  const [modules, classic] = await Promise.all([
    esbuild.build({ ...options, format: 'esm', splitting: true, entryPoints: entries.filter((f) => !CLASSIC.includes(path.basename(f))) }),
    esbuild.build({ ...options, format: 'iife', entryPoints: CLASSIC.map((f) => path.join(source, f)) }),
  ]);
  const outputs = { ...modules.metafile.outputs, ...classic.metafile.outputs };
  const files = {};
  for (const [file, output] of Object.entries(outputs)) {
    if (!output.entryPoint) continue;
    files[path.basename(output.entryPoint)] = {
      file: path.basename(file),
      imports: output.imports.filter((i) => i.kind === 'import-statement').map((i) => path.basename(i.path)),
    };
  }
  return { files, inputs: Object.keys({ ...modules.metafile.inputs, ...classic.metafile.inputs }) };
}

// Icons are named as icon('name') in templates, Python or scripts.
function sprite() {
  const used = new Set();
  for (const file of [...naming(), ...list(source, '.js')]) {
    for (const found of fs.readFileSync(file, 'utf8').matchAll(/(?:icon(?:=|\()|empty\()\s*['"]([a-z0-9-]+)['"]/g)) used.add(found[1]);
  }
  const symbols = [...used].sort().map((name) => {
    const file = path.join(root, 'node_modules/@tabler/icons/icons/outline', `${name}.svg`);
    if (!fs.existsSync(file)) throw new Error(`There is no icon '${name}' in @tabler/icons`);
    const inner = fs.readFileSync(file, 'utf8').replace(/^[\s\S]*?<svg[^>]*>/, '').replace(/<path stroke="none"[^>]*\/>/, '').replace('</svg>', '');
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">${inner.replace(/\s+/g, ' ').trim()}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join('')}</svg>`;
}

function licences(inputs) {
  const packages = new Set(['@tabler/icons']);
  for (const input of inputs) {
    const found = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found) packages.add(found[1]);
  }
  return [...packages].sort().map((name) => {
    const folder = path.join(root, 'node_modules', name);
    const about = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const file = fs.readdirSync(folder).find((f) => /^(licen[cs]e|copying)/i.test(f));
    const text = file ? fs.readFileSync(path.join(folder, file), 'utf8').trim() : `Licence: ${about.license}`;
    return `${name} ${about.version} (${about.license})\n\n${text}\n`;
  }).join(`\n${'-'.repeat(80)}\n\n`);
}

function compress(out) {
  const sizes = [];
  for (const file of fs.readdirSync(out).filter((f) => /\.(js|css|svg)$/.test(f))) {
    const content = fs.readFileSync(path.join(out, file));
    const gz = gzipSync(content, { level: 9 });
    const br = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
    fs.writeFileSync(path.join(out, `${file}.gz`), gz);
    fs.writeFileSync(path.join(out, `${file}.br`), br);
    sizes.push([file, content.length, gz.length, br.length]);
  }
  return sizes;
}

async function build() {
  const out = `${dist}.new`;
  fs.rmSync(out, { recursive: true, force: true });
  fs.mkdirSync(out, { recursive: true });
  const { files, inputs } = await bundle(out);
  files['icons.svg'] = write(out, 'icons.svg', sprite());
  fs.writeFileSync(path.join(out, 'THIRD_PARTY_LICENSES'), licences(inputs));
  const sizes = compress(out);
  const stamp = process.env.RAPPORT_ASSETS_STAMP || 'watch';
  fs.writeFileSync(path.join(out, 'manifest.json'), JSON.stringify({ stamp, files }, null, 1));
  fs.rmSync(dist, { recursive: true, force: true }); // the old files go only when all new ones are there
  fs.renameSync(out, dist);
  for (const [file, raw, gz, br] of sizes) console.log(`${file.padEnd(28)} ${String(raw).padStart(8)} ${String(gz).padStart(7)} gz ${String(br).padStart(7)} br`);
}

await build();
if (process.argv.includes('--watch')) {
  let timer;
  for (const folder of [source, templates]) {
    fs.watch(folder, { recursive: true }, () => { clearTimeout(timer); timer = setTimeout(() => build().catch(console.error), 100); });
  }
}
