// The shell of every page: htmx, islands, toasts, palette, keys, and logging in again without losing what was typed.
import 'htmx.org';
import { keys } from './shell/keys.js';
import { palette } from './shell/palette.js';
import { polls } from './shell/polls.js';
import { keepLoggedIn } from './shell/session.js';
import { toasts } from './shell/toasts.js';
import { unsaved } from './shell/unsaved.js';

const meta = (name) => document.querySelector(`meta[name=${name}]`)?.content;

document.addEventListener('htmx:config:request', (event) => {
  event.detail.ctx.request.headers['X-CSRF-Token'] = meta('csrf');
});

// <div data-island="charts"> loads its script when it comes near the screen; the script exports mount(element).
const islands = JSON.parse(meta('islands') ?? '{}');
const mounted = new WeakSet();
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      import(islands[target.dataset.island]).then((island) => island.mount(target));
    }
  },
  { rootMargin: '200px' },
);
const mount = () => {
  for (const element of document.querySelectorAll('[data-island]')) {
    if (mounted.has(element)) continue;
    mounted.add(element);
    near.observe(element);
  }
};
mount();
document.addEventListener('htmx:after:swap', mount);

// Colours: buttons and selects with data-theme; the empty value follows the system.
const markTheme = () => {
  const chosen = document.cookie.match(/(?:^|; )theme=(light|dark)/)?.[1] ?? '';
  for (const button of document.querySelectorAll('button[data-theme]')) button.ariaPressed = String(button.dataset.theme === chosen);
};
document.addEventListener('click', (event) => {
  const button = event.target.closest?.('button[data-theme]');
  if (!button) return;
  document.dispatchEvent(new CustomEvent('theme:choose', { detail: button.dataset.theme }));
  markTheme();
});
markTheme();

// Small behaviours by attribute, so that no page needs a script of its own.
document.addEventListener('click', (event) => {
  const opener = event.target.closest?.('[data-open]');
  if (opener) document.getElementById(opener.dataset.open)?.showModal();
  const closer = event.target.closest?.('[data-close]');
  if (closer) closer.closest('dialog')?.close();
  const copier = event.target.closest?.('[data-copy]');
  if (copier) {
    navigator.clipboard.writeText(document.getElementById(copier.dataset.copy).textContent.trim());
    copier.dataset.copied = '';
  }
  if (event.target.closest?.('[data-print]')) print();
  if (event.target.nodeName === 'DIALOG') event.target.close(); // the backdrop
});
document.addEventListener('toggle', ({ target }) => { // why somebody is on a list is asked when it opens, and once
  if (target.open && target.matches?.('.why') && !target.querySelector('.why-tree')) target.dispatchEvent(new CustomEvent('opened'));
}, true);
const current = document.querySelector('.tabs [aria-current]'); // of more tabs than a phone shows
if (current) current.parentElement.scrollLeft = current.offsetLeft - current.parentElement.offsetLeft - 24;
document.addEventListener('change', (event) => {
  if (event.target.matches?.('[data-submit]')) event.target.form.requestSubmit();
});

toasts();
palette();
keys();
keepLoggedIn();
unsaved();
polls();
document.documentElement.dataset.ready = '';
