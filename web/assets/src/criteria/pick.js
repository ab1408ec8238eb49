// Typing instead of scrolling: a select with class "subject" opens a box to type in above its choices, which stand
// once in the page (data-choices). What was chosen lately comes first. Other words for a choice (data-also) find it too.
// Without this script the select is a select.
const RECENT = 'rapport-recent';
const MOST = 6;

const recent = () => JSON.parse(localStorage.getItem(RECENT) ?? '[]');
const remember = (value) => localStorage.setItem(RECENT, JSON.stringify([value, ...recent().filter((one) => one !== value)].slice(0, MOST)));

// [{ group, value, words, also }] of an element with <option>s, perhaps in <optgroup>s
const read = (choices) => [...choices.querySelectorAll('option')].filter((one) => one.value).map((one) => ({
  group: one.parentElement.label ?? '', value: one.value, words: one.textContent, also: one.dataset.also?.split('|') ?? [],
}));

const fits = (one, words) => words.every((word) => `${one.words} ${one.group} ${one.also.join(' ')}`.toLocaleLowerCase().includes(word));

// 0: begins so, or another word for it is just this; 1: a word begins so; 2: another word begins so; 3: somewhere;
// 4: only its group or the inside of another word
const rank = (one, query) => {
  const text = one.words.toLocaleLowerCase();
  if (text.startsWith(query) || one.also.includes(query)) return 0;
  if (text.includes(` ${query}`)) return 1;
  if (one.also.some((word) => word.startsWith(query))) return 2;
  return text.includes(query) ? 3 : 4;
};

const make = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

// Returns what opens the box of a select.
export function picker(form) {
  const { pickLabel, pickNone, pickRecent } = form.dataset;
  const input = make('input', { class: 'form-control', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'pick-list', 'aria-autocomplete': 'list', 'aria-label': pickLabel, placeholder: pickLabel, autocomplete: 'off' });
  const list = make('ul', { id: 'pick-list', role: 'listbox', 'aria-label': pickLabel });
  const box = make('div', { id: 'pick', class: 'pick', popover: '' }, input, list);
  document.body.append(box);
  let select = null;
  let offered = [];
  let at = -1;

  const rows = () => [...list.querySelectorAll('[role=option]')];
  const mark = (index) => {
    const all = rows();
    at = all.length ? (index + all.length) % all.length : -1;
    all.forEach((row, place) => row.setAttribute('aria-selected', String(place === at)));
    input.setAttribute('aria-activedescendant', all[at]?.id ?? '');
    all[at]?.scrollIntoView({ block: 'nearest' });
  };

  const draw = () => {
    const query = input.value.trim().toLocaleLowerCase();
    const fitting = offered.filter((one) => fits(one, query.split(/\s+/)));
    const found = query ? fitting.sort((one, other) => rank(one, query) - rank(other, query)) : fitting;
    const lately = query ? [] : recent().map((value) => offered.find((one) => one.value === value)).filter(Boolean);
    const shown = [...lately.map((one) => ({ ...one, group: pickRecent })), ...found];
    const groups = new Map();
    for (const one of shown) groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
    let number = 0;
    list.replaceChildren(...[...groups].map(([label, ones]) => make('li', { role: 'group', 'aria-label': label || pickLabel },
      ...(label ? [make('span', { class: 'pick-group', 'aria-hidden': 'true' }, label)] : []),
      make('ul', { role: 'none' }, ...ones.map((one) => make('li', { role: 'option', id: `pick-${number++}`, 'data-value': one.value, 'aria-selected': 'false' }, one.words))))));
    if (!shown.length) list.append(make('li', { class: 'pick-none', role: 'none' }, pickNone));
    mark(query ? 0 : Math.max(rows().findIndex((row) => row.dataset.value === select.value), 0));
  };

  const open = (chosen, typed = '') => {
    select = chosen;
    offered = read(document.getElementById(select.dataset.choices));
    input.value = typed;
    const place = select.getBoundingClientRect();
    if (!box.matches(':popover-open')) box.showPopover();
    draw();
    const below = innerHeight - place.bottom;
    const height = Math.min(box.offsetHeight, innerHeight - 16);
    box.style.insetInlineStart = `${Math.max(8, Math.min(place.left, innerWidth - box.offsetWidth - 8))}px`;
    box.style.insetBlockStart = `${below >= height + 8 ? place.bottom + 4 : Math.max(8, place.top - height - 4)}px`;
    input.focus();
  };

  const choose = (row) => {
    const chosen = select;
    box.hidePopover();
    chosen.focus();
    if (!row || chosen.value === row.dataset.value) return;
    remember(row.dataset.value);
    chosen.replaceChildren(new Option(row.textContent, row.dataset.value, true, true));
    chosen.dispatchEvent(new Event('input', { bubbles: true }));
  };

  form.addEventListener('mousedown', (event) => {
    const chosen = event.target.closest?.('select.subject');
    if (!chosen || event.button) return;
    event.preventDefault(); // its own list
  });
  form.addEventListener('click', (event) => {
    const chosen = event.target.closest?.('select.subject');
    if (chosen) open(chosen);
  });
  form.addEventListener('keydown', (event) => {
    const chosen = event.target.closest?.('select.subject');
    if (!chosen || event.altKey || event.ctrlKey || event.metaKey) return;
    const letter = event.key.length === 1 && event.key !== ' ' ? event.key : '';
    if (!letter && !['Enter', ' ', 'ArrowDown', 'ArrowUp'].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    open(chosen, letter);
  });
  input.addEventListener('input', draw);
  input.addEventListener('blur', () => { if (box.matches(':popover-open')) box.hidePopover(); });
  input.addEventListener('keydown', (event) => {
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: Math.min(at + 8, rows().length - 1), PageUp: Math.max(at - 8, 0) };
    if (event.key in moves) mark(moves[event.key]);
    else if (event.key === 'Enter') choose(rows()[at]);
    else if (event.key === 'Escape' || event.key === 'Tab') choose(null);
    else return;
    if (event.key !== 'Tab') event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener('mousedown', (event) => event.preventDefault());
  list.addEventListener('click', (event) => {
    const row = event.target.closest('[role=option]');
    if (row) choose(row);
  });
  return open;
}
