// Single keys, never while somebody types: / search, n new, ? help, g + letter to go, j and k through rows.
const TYPING = 'input, textarea, select, [contenteditable=""], [contenteditable=true]';

const row = (by) => {
  const links = [...document.querySelectorAll('main tbody tr')].map((line) => line.querySelector('a, button')).filter(Boolean);
  const at = links.findIndex((link) => link.closest('tr').contains(document.activeElement));
  links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
};

const search = () => {
  const field = document.querySelector('[data-search]');
  if (field) field.focus();
  else document.querySelector('[data-palette]')?.click();
};

export function keys() {
  let going = 0;
  const actions = {
    '/': search,
    n: () => document.querySelector('[data-new]')?.click(),
    '?': () => document.getElementById('help')?.showModal(),
    g: () => { going = Date.now(); },
    j: () => row(1),
    k: () => row(-1),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.(TYPING) || document.querySelector('dialog[open]')) return;
    const target = Date.now() - going < 1500 ? document.querySelector(`[data-go="${CSS.escape(event.key)}"]`) : null;
    going = 0;
    const action = target ? () => target.click() : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
