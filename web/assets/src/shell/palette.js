// Ctrl-K: pages and actions from the list in the page, people, lists and campaigns from the server (htmx fills
// #palette-found). The input keeps the focus; the arrow keys move the choice (ARIA combobox).

export function palette() {
  const dialog = document.getElementById('palette');
  if (!dialog) return;
  const input = dialog.querySelector('input');
  const options = () => [...dialog.querySelectorAll('[role=option]:not([hidden])')];

  const choose = (option) => {
    for (const other of dialog.querySelectorAll('[aria-selected=true]')) other.ariaSelected = 'false';
    if (!option) return input.removeAttribute('aria-activedescendant');
    option.ariaSelected = 'true';
    option.scrollIntoView({ block: 'nearest' });
    input.setAttribute('aria-activedescendant', option.id);
  };
  const filter = () => {
    const words = input.value.trim().toLowerCase().split(/\s+/);
    for (const option of dialog.querySelectorAll('#palette-pages [role=option]')) {
      const text = option.textContent.toLowerCase();
      option.hidden = !words.every((word) => text.includes(word));
    }
    choose(options()[0]);
  };
  const step = (by) => {
    const all = options();
    const at = all.findIndex((option) => option.ariaSelected === 'true');
    choose(all[(at + by + all.length) % all.length]);
  };

  const open = () => {
    if (dialog.open) return;
    input.value = '';
    document.getElementById('palette-found').replaceChildren();
    filter();
    dialog.showModal();
  };
  const moves = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Enter: () => dialog.querySelector('[aria-selected=true]')?.click() };

  input.addEventListener('input', filter);
  input.addEventListener('keydown', (event) => {
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  });
  dialog.addEventListener('htmx:after:swap', () => { if (!dialog.querySelector('[aria-selected=true]')) choose(options()[0]); });
  document.addEventListener('click', (event) => { if (event.target.closest?.('[data-palette]')) open(); });
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      open();
    }
  });
}
